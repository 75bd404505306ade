"""The live page: sweeps as they are now, in a browser on this machine."""
