"""Files that have a cluster's own scheduler start a Ray cluster for a sweep, and go on with it where it was cut off."""
