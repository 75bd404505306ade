"""What every process that a test starts inherits. Threads are set before torch is loaded: their sums differ in last bits."""

import os
import signal

os.environ["OMP_NUM_THREADS"] = "1"

# What is started in the background of a script ignores Ctrl-C, and so does all that it starts: drivers would not hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)
