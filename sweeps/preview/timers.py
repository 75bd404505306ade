"""Timings of a sweep's trials, in as many processes at once as it would have workers: these slow each other down."""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.synchronize import Barrier

import torch

from search_spaces.policies import SlotClass
from trainables.config import TrialConfig
from trainables.loop import open_teacher
from trainables.outcomes import TrialFailure
from trainables.placement import CPU, training_device
from trainables.storage import Storage
from trainables.timing import Timing, time_trial

#: A process times trial after trial for so long, and at least so many: on a busy machine both take longer.
_TIMING_S, _LEAST = 4.0, 3
#: Until all have their teacher, which one of them may have to train first.
_PATIENCE_S = 600.0

Timed = tuple[TrialConfig, Timing]


class Timers:
    """Processes that time trials, and from when this is made get ready for those like `example`.

    What nobody has done yet is done in `storage`, the folder that keeps teachers and what they make of images, and the
    sweep will find it there.
    """

    def __init__(self, example: TrialConfig, storage: str, resources: SlotClass, slots: int) -> None:
        self._count = _at_once(resources, slots)
        spawn = multiprocessing.get_context("spawn")
        together, on_gpu = spawn.Barrier(self._count), resources.gpus_per_worker > 0
        own = (together, resources.cpus_per_worker, example, storage, on_gpu)
        self._pool = ProcessPoolExecutor(self._count, spawn, _get_ready, own)
        self._started = [self._pool.submit(_meet) for _ in range(self._count)]

    def time(self, configs: Sequence[TrialConfig]) -> list[Timed]:
        """Time the first of these, as many as there is time for, and end; trials that fail are left out.

        Raises `BrokenProcessPool` if a process was killed.
        """
        with self._pool:
            for future in self._started:
                future.result()
            shares = [configs[share :: self._count] or configs for share in range(self._count)]
            return [timed for found in self._pool.map(_time_share, shares) for timed in found]


def _at_once(resources: SlotClass, slots: int) -> int:
    """As many as work on this machine at a time; with GPUs as many as share one, the only one that is used here."""
    workers = slots * resources.workers
    if resources.gpus_per_worker:
        return max(1, min(workers, int(1 / resources.gpus_per_worker)))
    return max(1, min(workers, (os.cpu_count() or 1) // resources.cpus_per_worker))


_time: Callable[[TrialConfig], Timing]
_together: Barrier


def _get_ready(together: Barrier, threads: int, example: TrialConfig, storage: str, on_gpu: bool) -> None:
    """What each process does first; the teacher is trained by one of them, and the others wait for it."""
    global _time, _together
    torch.set_num_threads(threads)
    device = training_device() if on_gpu else CPU
    task = example.task.load()
    teacher = open_teacher(example.teacher, task, Storage(storage), device)
    _time, _together = partial(time_trial, task=task, teacher=teacher, device=device), together
    _time_all([example])  # the first one of a process warms it up


def _meet() -> None:
    """Wait for the others, each of which is thus at one task of its own."""
    _together.wait(_PATIENCE_S)


def _time_share(trials: Sequence[TrialConfig]) -> list[Timed]:
    _meet()
    return _time_all(trials)


def _time_all(trials: Sequence[TrialConfig]) -> list[Timed]:
    until = time.monotonic() + _TIMING_S
    found: list[Timed] = []
    for number, trial in enumerate(trials):
        if number >= _LEAST and time.monotonic() > until:
            break
        with contextlib.suppress(TrialFailure):
            found.append((trial, _time(trial)))
    return found
