"""Set before torch is loaded, here and in every process that a test starts: sums over threads differ in last bits."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
