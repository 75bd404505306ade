"""Sweeps as jobs of a Ray cluster: what is shipped, submitted, watched and stopped there."""
