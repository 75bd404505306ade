"""Timings of a sweep's trials, in as many processes at once as it would have workers: these slow each other down."""

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
from trainables.storage import Storage
from trainables.timing import Timing, time_trial

#: A process times trial after trial for so long, and at least so many: on a busy machine both take longer.
_TIMING_S, _LEAST = 5.0, 4
#: Until all have their teacher, which one of them may have to train first.
_PATIENCE_S = 600.0

Timed = tuple[TrialConfig, Timing]


class Timers:
    """Processes that time `configs`, from when this is made; `storage` is the folder that keeps teachers.

    What nobody has done yet is done there, the teacher and what it makes of images: the sweep will find it.
    """

    def __init__(self, configs: Sequence[TrialConfig], storage: str, resources: Resources, slots: int) -> None:
        self.at_once = _at_once(resources, slots)
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            self.at_once, spawn, _begin, (spawn.Barrier(self.at_once), resources.cpus_per_worker)
        )
        on_gpu = resources.gpus_per_worker > 0
        shares = [configs[share :: self.at_once] or configs for share in range(self.at_once)]
        self._futures: list[Future[list[Timed]]] = [
            self._pool.submit(_time_all, share, storage, on_gpu) for share in shares
        ]

    def results(self) -> list[Timed]:
        """What they found, when the last has ended; trials that failed are left out."""
        with self._pool:
            return [timed for future in self._futures for timed in future.result()]


def _at_once(resources: Resources, slots: int) -> int:
    """As many as work on this machine at a time; with GPUs as many as share one, the only one that is used here."""
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


def _time_all(trials: Sequence[TrialConfig], storage: str, on_gpu: bool) -> list[Timed]:
    device = training_device() if on_gpu else CPU
    task = trials[0].task.load()
    teacher = open_teacher(trials[0].teacher, task, Storage(storage), device)

    def timed(trial: TrialConfig) -> list[Timed]:
        with contextlib.suppress(TrialFailure):
            return [(trial, time_trial(trial, task, teacher, device))]
        return []

    timed(trials[0])  # the first one of a process warms it up
    _together.wait(_PATIENCE_S)
    until = time.monotonic() + _TIMING_S
    found: list[Timed] = []
    for number, trial in enumerate(trials):
        if number >= _LEAST and time.monotonic() > until:
            break
        found += timed(trial)
    return found
