"""What a trial takes of the machine that it runs on, under the names by which MLflow's page of system metrics finds it.

Measured and not planned: values differ from run to run, so that no search, verdict or comparison reads them.
"""

from contextlib import suppress

import psutil
import torch

from trainables.metrics import SYSTEM_PREFIX


class SystemMetrics:
    """Of this process and its machine: percentages since the last reading, megabytes (10^6 bytes) now.

    A process counts 100 % for each core that it keeps busy. A GPU is the one that this worker trains on; how busy it is
    can be said where NVIDIA's library for that (``nvidia-ml-py``) is installed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._process = device, psutil.Process()
        self.read()  # percentages count from here

    def read(self) -> dict[str, float]:
        """Values by metric."""
        values = {
            "process_cpu_utilization_percentage": self._process.cpu_percent(),
            "process_memory_usage_megabytes": self._process.memory_info().rss / 1e6,
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_percentage": psutil.virtual_memory().percent,
        }
        if self._device.type == "cuda":
            values |= self._gpu()
        return {SYSTEM_PREFIX + name: value for name, value in values.items()}

    def _gpu(self) -> dict[str, float]:
        free, total = torch.cuda.mem_get_info(self._device)
        values = {"gpu_0_memory_usage_megabytes": (total - free) / 1e6}
        # No library, no driver, a share of a GPU: NVML raises what it likes, and no trial may die of that.
        with suppress(Exception):
            values["gpu_0_utilization_percentage"] = float(torch.cuda.utilization(self._device))
        return values
