"""The command line, by what commands are about. Each is registered in `sweeps.cli`."""
