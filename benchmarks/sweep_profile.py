"""Where the time of a `digits.yaml` sweep goes: its wall time, its core-seconds, and the seconds of a trial.

    python -m benchmarks.sweep_profile [--trials 16] [--set KEY=VALUE ...]

Runs the sweep through the real command line and samples CPU seconds of its processes from ``/proc``, so Linux only.
Then trains one trial of the file's space in this process, on one thread, with a clock at each of its parts.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.swept import Swept, sweep_digits
from trainables.loop import run_trial
from trainables.world import SingleWorld

#: The parts of a trial, and the methods that are each of them; time in a part within another one is its own alone.
PARTS = (
    ("views", "trainables.tasks.digits:DigitsTask.views"),
    ("teacher", "trainables.teacher:TeacherNetwork.forward"),
    ("student, forward", "trainables.step:TrainingStep._features"),
    ("contrast: memory and negatives", "trainables.pairing:Pairing.forward"),
    ("contrast: loss", "trainables.objectives.crd:CRDLoss.forward"),
    ("contrast: memory written", "trainables.step:TrainingStep.commit"),
    ("backward", "torch:Tensor.backward"),
    ("optimiser", "trainables.optimizer:SGD.step"),
    ("evaluation", "trainables.measure:Measured.quick"),
    ("evaluation", "trainables.measure:Measured.final"),
    ("checkpoints", "trainables.checkpoint:Checkpoints.save"),
)


class PartClock:
    """Seconds by part. A part that calls another does not count what the other takes."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inside: list[str] = []
        self._since = time.perf_counter()

    def enter(self, part: str) -> None:
        self._lap()
        self._inside.append(part)

    def leave(self) -> None:
        self._lap()
        self._inside.pop()

    def _lap(self) -> None:
        now = time.perf_counter()
        part = self._inside[-1] if self._inside else "the rest"
        self.seconds[part] += now - self._since  # type: ignore[assignment]  # seconds are not whole
        self._since = now

    def timed(self, part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            self.enter(part)
            try:
                return method(*arguments, **named)
            finally:
                self.leave()

        return call


@contextmanager
def clocked() -> Iterator[PartClock]:
    """A clock at every part while the block lasts."""
    clock, restore = PartClock(), []
    for part, path in PARTS:
        module, _, name = path.partition(":")
        owner, method = getattr(import_module(module), name.split(".")[0]), name.split(".")[1]
        restore.append((owner, method, getattr(owner, method)))
        setattr(owner, method, clock.timed(part, getattr(owner, method)))
    try:
        clock.enter("the rest")
        yield clock
        clock.leave()
    finally:
        for owner, method, original in restore:
            setattr(owner, method, original)


def wall_rows(swept: Swept) -> list[tuple[str, float]]:
    """Seconds of slots, from the start of the command to its end, by what they were spent on."""
    usage, busy = swept.usage, swept.busy
    inside = sum(ended - began for spans in busy for began, ended in spans)
    between = sum(spans[at + 1][0] - spans[at][1] for spans in busy for at in range(len(spans) - 1))
    return [
        ("start-up, until a slot has its first trial", sum(spans[0][0] - usage.began for spans in busy)),
        ("training steps", swept.training_seconds),
        ("evaluation, checkpoints, verdicts", inside - swept.training_seconds),
        ("waiting for the next trial", between),
        ("the end, after a slot's last trial", sum(usage.ended - spans[-1][1] for spans in busy)),
    ]


def wall_table(swept: Swept) -> Table:
    table = Table("wall time", "slot-seconds", "share", title=f"{swept.usage.wall:.1f} s, {swept.slots} slots")
    for name, seconds in wall_rows(swept):
        table.add_row(name, f"{seconds:.1f}", f"{seconds / swept.slots / swept.usage.wall:.1%}")
    return table


def core_table(swept: Swept) -> Table:
    usage, last = swept.usage, max(spans[-1][1] for spans in swept.busy)
    moments = [usage.began, swept.first_trial, last, usage.ended]
    used = [usage.cpu(moment) for moment in moments]
    table = Table("core-seconds", "start-up", "trials", "end", "all", title=f"{usage.core_seconds:.1f} core-seconds")
    for kind in sorted(used[-1], key=lambda kind: -used[-1][kind]):
        at = [cpu.get(kind, 0.0) for cpu in used]
        table.add_row(kind, *(f"{late - early:.1f}" for early, late in pairwise(at)), f"{at[-1]:.1f}")
    return table


def trial_table(config: dict[str, Any], storage: Path) -> Table:
    """One trial, trained a second time in this process: the first would import and train what later ones find."""
    torch.set_num_threads(1)
    for warm in (True, False):
        with clocked() as clock:
            run_trial(
                config,
                trial=int(warm),
                workspace=str(storage / "alone"),
                report=lambda _: "continue",
                world=SingleWorld(),
            )
    total = sum(clock.seconds.values())
    table = Table("a trial", "seconds", "share", title=f"a warm trial of {config['steps']} steps, {total:.2f} s")
    for part, seconds in clock.seconds.most_common():
        table.add_row(part, f"{seconds:.3f}", f"{seconds / total:.1%}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", help="as that of `python -m sweeps run`"
    )
    arguments = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        swept = sweep_digits(storage, [f"budget.trials={arguments.trials}", *arguments.overrides])
        console.print(f"first trial after {swept.first_trial - swept.usage.began:.1f} s")
        console.print(wall_table(swept), core_table(swept))
        complete = [trial for trial in swept.trials if trial.state == "complete"]
        typical = sorted(complete, key=lambda trial: trial.metrics["compute/cost_s"])[len(complete) // 2]
        console.print(trial_table(typical.config, storage))


if __name__ == "__main__":
    main()
