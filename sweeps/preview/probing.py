"""Probes of a sweep's trials, in as many processes at once as it would have workers: these slow each other down."""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.synchronize import Barrier

import torch

from search_spaces.policies import Resources
from trainables.config import TrialConfig
from trainables.loop import open_teacher
from trainables.outcomes import TrialFailure
from trainables.placement import CPU, training_device
from trainables.probe import Probe, probe
from trainables.storage import Storage

#: A process probes trial after trial for so long, and at least so many: on a busy machine both take longer.
_PROBING_S, _LEAST = 5.0, 4
#: Until all have their teacher, which one of them may have to train first.
_PATIENCE_S = 600.0

Probed = tuple[TrialConfig, Probe]


class Probes:
    """Processes that probe `configs`, from when this is made; `storage` is the folder that keeps teachers.

    The teacher is trained there if nobody has: the sweep will find it. Nothing else is left.
    """

    def __init__(self, configs: Sequence[TrialConfig], storage: str, resources: Resources, slots: int) -> None:
        self.at_once = _at_once(resources, slots)
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            self.at_once, spawn, _begin, (spawn.Barrier(self.at_once), resources.cpus_per_worker)
        )
        on_gpu = resources.gpus_per_worker > 0
        shares = [configs[share :: self.at_once] or configs for share in range(self.at_once)]
        self._futures: list[Future[list[Probed]]] = [
            self._pool.submit(_probe_all, share, storage, on_gpu) for share in shares
        ]

    def results(self) -> list[Probed]:
        """What they found, when the last has ended; trials that failed are left out."""
        with self._pool:
            return [probed for future in self._futures for probed in future.result()]


def _at_once(resources: Resources, slots: int) -> int:
    """As many as work on this machine at a time; with GPUs as many as share one, the only one that probes use."""
    workers = slots * resources.workers
    if resources.gpus_per_worker:
        return max(1, min(workers, int(1 / resources.gpus_per_worker)))
    return max(1, min(workers, (os.cpu_count() or 1) // resources.cpus_per_worker))


_together: Barrier


def _begin(together: Barrier, threads: int) -> None:
    """What each process does first."""
    global _together
    _together = together
    torch.set_num_threads(threads)


def _probe_all(trials: Sequence[TrialConfig], storage: str, on_gpu: bool) -> list[Probed]:
    device = training_device() if on_gpu else CPU
    task = trials[0].task.load()
    teacher = open_teacher(trials[0].teacher, task, Storage(storage), device)

    def probed(trial: TrialConfig) -> list[Probed]:
        with contextlib.suppress(TrialFailure):
            return [(trial, probe(trial, task, teacher, device))]
        return []

    probed(trials[0])  # the first one of a process warms it up
    _together.wait(_PATIENCE_S)
    until = time.monotonic() + _PROBING_S
    found: list[Probed] = []
    for number, trial in enumerate(trials):
        if number >= _LEAST and time.monotonic() > until:
            break
        found += probed(trial)
    return found
