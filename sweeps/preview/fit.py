"""Which part of a space would not fit: into the memory of a device, or within constraints on planned compute."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from search_spaces.policies import SlotClass
from sweeps.preview.foresight import PlannedTrial

#: A leaf explains misfits if of the trials that have such a value at least this share are misfits.
_EXPLAINS = 0.5


@dataclass(frozen=True)
class Misfits:
    """The share of trials that do not fit, and the value of one leaf that all of them have, where that says enough."""

    share: float
    all_have: str | None


def memory_bytes(resources: SlotClass, slots: int) -> float:
    """What a worker has: as its class says; or here, its share of a GPU, or of this machine's memory, all of it."""
    if resources.memory_gb is not None:
        return resources.memory_bytes
    if resources.gpus_per_worker and torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory * min(1.0, resources.gpus_per_worker)
    here = min(slots * resources.workers, max(1, (os.cpu_count() or 1) // resources.cpus_per_worker))
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / here


def misfits(trials: Sequence[PlannedTrial], fits: Callable[[PlannedTrial], bool]) -> Misfits:
    """Those of the trials that do not fit."""
    found = [trial for trial in trials if not fits(trial)]
    return Misfits(len(found) / len(trials), _in_common(found, trials))


def _in_common(found: Sequence[PlannedTrial], trials: Sequence[PlannedTrial]) -> str | None:
    """The narrowest condition on one leaf that all misfits meet, if most that meet it are misfits."""
    values: dict[str, list[Any]] = defaultdict(list)
    for trial in found:
        for name, value in trial.parameters.items():
            values[name].append(value)
    best, share = None, _EXPLAINS
    for name, of_found in values.items():
        if len(of_found) < len(found):  # not all of them have this leaf
            continue
        for said, meets in _conditions(of_found):
            meeting = sum(name in trial.parameters and meets(trial.parameters[name]) for trial in trials)
            if len(found) / meeting > share and meeting < len(trials):
                best, share = f"{name} {said}", len(found) / meeting
    return best and f"{best} ({share:.0%} of such trials)"


def _conditions(values: Sequence[Any]) -> list[tuple[str, Callable[[Any], bool]]]:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        return [(f">= {low:.4g}", lambda value: value >= low), (f"<= {high:.4g}", lambda value: value <= high)]
    options = sorted({str(value) for value in values})
    return [(f"= {' or '.join(options)}", lambda value: str(value) in options)]
