"""Does the search space of the default sweep matter? What its best point gains, and what each of its axes moves.

    python -m benchmarks.headroom [--seeds 5]

Prints `transfer/knn_top1` of the raw pixels, the untrained student, the teacher, the best point of the front, and of
settings that differ from the best one along one axis; then the claims. Exit code 1 if one of them fails.

Validation judges; the test column is only reported. Gains are differences seed by seed, with the 95% t-interval of
their mean. Cost has no seed spread: it is known before a trial starts. About five minutes on one core.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.seed_statistics import Row, effect, gain
from trainables.checkpoint import Checkpoints
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.device import Device
from trainables.evidence import Task
from trainables.loop import distil, open_teacher
from trainables.measure import Measurements, Network
from trainables.memory.bank import Bank
from trainables.metrics import COST_S, on_test, transfer_metric
from trainables.models.convnet import ConvNet
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.step import TrainingStep
from trainables.storage import Storage

GOAL = transfer_metric("transfer", "knn_top1")
CORE = Device(name="cpu-core", flops_per_s=5.0e10, bytes_per_s=1.0e10)  # as in search_spaces/digits.yaml


@dataclass(frozen=True)
class Setting:
    """A point of the space; by default the best one of the front, chosen on validation."""

    temperature: float = 0.1
    memory: int = 1083
    negatives: int = 256
    width: int = 12

    def trial(self, seed: int) -> TrialConfig:
        return TrialConfig(
            objective=CRD(temperature=self.temperature),
            memory=Bank(size=self.memory),
            negatives=Uniform(count=self.negatives),
            student=ConvNet(width=self.width),
            device=CORE,
            seed=seed,
        )


BEST = Setting()
AXES: dict[str, tuple[float, float]] = {
    "temperature": (0.02, 1.0),
    "memory": (256, 512),
    "negatives": (2, 1024),
    "width": (2, 6),
}


class Bench:
    """What every row is measured on: one task, one teacher, the same seeds."""

    def __init__(self, seeds: int, workspace: str) -> None:
        self.trial = BEST.trial(0)
        self.task: Task = self.trial.task.load()
        self.storage = Storage(workspace)
        self.teacher = open_teacher(self.trial.teacher, self.task, self.storage)
        self.seeds = range(seeds)

    def frozen(self, name: str, networks: list[Network]) -> Row:
        measurements = Measurements(self.trial, self.task, self.teacher)
        return _row(name, [measurements.of(network).final() for network in networks])

    def references(self) -> list[Row]:
        steps = [TrainingStep(BEST.trial(seed)) for seed in self.seeds]
        return [
            self.frozen("raw pixels", [lambda shown: shown.images.flatten(1)]),
            self.frozen("untrained student", [step.features for step in steps]),
            self.frozen("teacher", [lambda shown: shown.teacher.features]),
        ]

    def trained(self, name: str, setting: Setting) -> Row:
        measures = [self._train(setting.trial(seed)) for seed in self.seeds]
        return _row(name, measures, planned_metrics(setting.trial(0))[COST_S])

    def _train(self, trial: TrialConfig) -> dict[str, float]:
        checkpoints = Checkpoints(self.storage.folder(trial.digest()), trial.digest())
        return distil(trial, self.task, self.teacher, checkpoints, lambda _: "continue").metrics


def _row(name: str, measures: list[dict[str, float]], cost_s: float = 0.0) -> Row:
    validation, test = ([m[key] for m in measures] for key in (GOAL, on_test(GOAL)))
    return Row(name, np.array(validation), np.array(test), cost_s)


def settings() -> Iterator[tuple[str, str, Setting]]:
    """(axis, name, setting) for the low and the high value of each axis."""
    for axis, values in AXES.items():
        for value in values:
            yield axis, f"{axis} {value}", replace(BEST, **{axis: value})  # type: ignore[arg-type]  # by name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    if (seeds := parser.parse_args().seeds) < 2:
        parser.error(f"--seeds must be at least 2, for there to be an interval; it is {seeds}")
    torch.set_num_threads(1)
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as workspace:
        bench = Bench(seeds, workspace)
        references = bench.references()
        best = bench.trained("best", BEST)
        varied = [(axis, bench.trained(name, s)) for axis, name, s in track(list(settings()), console=console)]
    table = Table("", f"{GOAL} (validation)", "seed sd", "test", COST_S, caption=f"best: {BEST}")
    for row in (*references, best, *(row for _, row in varied)):
        table.add_row(*row.cells())
    console.print(table)
    claims = [gain(best, row) for row in references if row.name != "teacher"]
    claims += [effect(axis, best, [row for other, row in varied if other == axis]) for axis in AXES]
    for claim in claims:
        console.print(f"{'holds' if claim.holds else 'FAILS'}: {claim.text}", highlight=False, soft_wrap=True)
    sys.exit(not all(claim.holds for claim in claims))


if __name__ == "__main__":
    main()
