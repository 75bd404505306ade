"""What could stop a sweep on this machine, or make it unsafe: one check per function, each with what to do."""
