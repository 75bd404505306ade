"""Datasets on disk: what ingest writes once, and what every trial maps into memory and reads by sample index."""
