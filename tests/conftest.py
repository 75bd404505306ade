"""What every process that a test starts inherits."""

import os
import signal

# Set before torch is loaded: sums over threads differ in last bits.
os.environ["OMP_NUM_THREADS"] = "1"

# What is started in the background of a script ignores Ctrl-C, and so would the drivers that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
