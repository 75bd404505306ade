"""The durable record of a sweep: an append-only log of `sweeps.events`, and the fold that makes states of it.

`store` keeps the events in a database and lets one driver at a time append; `history` derives everything else.
"""
