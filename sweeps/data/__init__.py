"""Bringing data in: sources in the layouts that people have, their faults, and canonical datasets with a manifest."""
