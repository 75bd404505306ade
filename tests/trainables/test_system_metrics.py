"""What a trial takes of its machine is read at each rung and judged by nobody."""

import time
from pathlib import Path

import pytest
import torch

from tests.trainables.trials import Listener, small_trial, train
from trainables.metrics import SYSTEM_PREFIX, of_this_run
from trainables.placement import CPU
from trainables.system_metrics import SystemMetrics

CORE_BUSY = SYSTEM_PREFIX + "process_cpu_utilization_percentage"


def test_a_busy_process_is_told_from_an_idle_one() -> None:
    system = SystemMetrics(CPU)
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    busy = system.read()
    time.sleep(1)  # a process's time is counted in hundredths of a second
    idle = system.read()
    assert busy[CORE_BUSY] > 4 * idle[CORE_BUSY]
    assert 10 < busy[SYSTEM_PREFIX + "process_memory_usage_megabytes"] < 1e6
    assert 0 < busy[SYSTEM_PREFIX + "system_memory_usage_percentage"] < 100


def test_every_rung_tells_it_and_it_counts_as_this_run_alone(tmp_path: Path) -> None:
    listener = Listener()
    train(small_trial(), tmp_path, listener)
    for report in listener.reports:
        told = {name for name in report.metrics if name.startswith(SYSTEM_PREFIX)}
        assert CORE_BUSY in told
        assert all(map(of_this_run, told))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_told_of_too() -> None:
    system = SystemMetrics(torch.device("cuda"))
    before = system.read()["system/gpu_0_memory_usage_megabytes"]
    taken = torch.zeros(2**28, device="cuda")  # a gigabyte
    after = system.read()
    assert after["system/gpu_0_memory_usage_megabytes"] - before > 0.9 * taken.nbytes / 1e6
    assert 0 <= after.get("system/gpu_0_utilization_percentage", 0) <= 100
