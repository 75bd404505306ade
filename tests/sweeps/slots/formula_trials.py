"""Trials that train nothing and answer from a formula, told by their config what to do. Workers import this module."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from trainables.outcomes import Leaving, Outcome, Report, RungReport, StorageFull, TrialFailure
from trainables.protocols import World


def formula(config: Mapping[str, Any], *, trial: int, workspace: str, report: Report, world: World) -> Outcome:
    """`steps` steps, a rung at each, every step written to a file of its rank; misbehaves where `config` says so.

    A trial that `meets` another goes on only when that has begun, which takes a second slot; one that waits `until` a
    file is there leaves meanwhile if its worker is warned, and leaves a mark.
    """
    steps = config.get("steps", 3)
    marks = Path(workspace, f"trial-{trial}-rank-{world.rank}.txt")
    for step in range(1, steps + 1):
        with marks.open("a") as file:
            file.write(f"{step}\n")
        if "meets" in config:
            _wait_for(Path(workspace, f"trial-{config['meets']}-rank-{world.rank}.txt"))
        if "until" in config:
            _wait_for(Path(workspace, config["until"]), world, marks.with_suffix(".left"))
        if world.rank == config.get("rank", world.rank):
            _misbehave(config, step, workspace, trial)
        total = torch.tensor([float(world.rank + 1)])
        world.mean_([total])
        metrics = {"set/score": step / (trial + 1), "rank_mean": float(total)}
        if report(RungReport(step - 1, step, step / steps, metrics)) == "stop":
            return Outcome("pruned", step, step / steps, metrics, "none")
    return Outcome("complete", steps, 1.0, metrics, "none")


def note(
    config: Mapping[str, Any], *, workspace: str, share: int, shares: int, progress: Callable[[str], None]
) -> None:
    """A preparation that leaves a mark; fails where `config` says so."""
    progress("notes")
    if config["fails"]:
        raise OSError("the disk is full")
    Path(workspace, f"prepared-{share}-of-{shares}").touch()


def _wait_for(mark: Path, world: World | None = None, left: Path | None = None) -> None:
    while not mark.exists():
        if world and left and world.leaving():
            left.touch()
            raise Leaving
        time.sleep(0.01)


def _misbehave(config: Mapping[str, Any], step: int, workspace: str, trial: int) -> None:
    if step == config.get("at"):
        _HARM[config["what"]](config, Path(workspace, f"trial-{trial}-died"))


def _raise(error: Exception) -> None:
    raise error


def _die_once(died: Path) -> None:
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)


_HARM: dict[str, Callable[[Mapping[str, Any], Path], object]] = {
    "raise": lambda *_: _raise(KeyError("no such key")),
    "nan": lambda config, _: _raise(TrialFailure("nan", f"the loss was nan at step {config['at']}")),
    "memory": lambda *_: torch.empty(10**15),
    "die once": lambda _, died: _die_once(died),
    "die": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda config, _: time.sleep(config["seconds"]),
    "hang": lambda *_: ctypes.PyDLL(None).pause(),  # never gives Python a turn
    "freeze": lambda *_: os.kill(os.getpid(), signal.SIGSTOP),
    "fill the disk": lambda *_: _raise(StorageFull("no room")),
}
