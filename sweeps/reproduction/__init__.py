"""A trial again, in a process of its own with the code that it had, and a verdict on what comes out."""
