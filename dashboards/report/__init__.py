"""The report of a sweep: one page that needs nothing but a browser."""
