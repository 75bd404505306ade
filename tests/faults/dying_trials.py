"""Real trials whose process is killed at a step. Workers import this module."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from trainables.loop import run_trial
from trainables.outcomes import Outcome, Report
from trainables.protocols import World


class Deadly:
    """A world through which a trial passes at every step, and that kills it at one."""

    def __init__(self, world: World, kill_at: int) -> None:
        self.world, self.left = world, kill_at
        self.rank, self.size = world.rank, world.size

    def gather(self, tensor_B: Tensor) -> Tensor:
        return self.world.gather(tensor_B)

    def mean_(self, tensors: list[Tensor]) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        self.world.mean_(tensors)

    def leaving(self) -> bool:
        return self.world.leaving()


def dies_once(config: Mapping[str, Any], *, trial: int, workspace: str, report: Report, world: World) -> Outcome:
    """A trial whose first attempt is killed after `dies_at` steps."""
    plain = {name: value for name, value in config.items() if name != "dies_at"}
    mark = Path(workspace, f"died-{trial}")
    if not mark.exists():
        mark.touch()
        world = Deadly(world, config["dies_at"])
    return run_trial(plain, trial=trial, workspace=workspace, report=report, world=world)
