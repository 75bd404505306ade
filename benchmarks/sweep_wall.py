"""A whole sweep against the plain way to do it: a fresh `TorchTrainer` and the materialised loss for each trial.

    python -m benchmarks.sweep_wall [--trials 64] [--embedding 128]

Ours is `digits.yaml` through the real command line, in wall time and in core-seconds of all its processes, from the
start of the command to its end. Three of its keys are set: a bank of all 1,083 source samples, which is the largest
there is; counts of negatives between 965 and 1,083, of which 1,024 is the middle; and contrast in the 128 dimensions of
CRD's release. `--embedding 32` is the file's own width.

The other side trains the same configs, read from our ledger, for as many steps as ours took (a trial that was stopped
stops there too), with the same networks, data, optimiser and evaluation, but with `benchmarks.materialised_crd`; Ray
Tune starts each as a trial that starts a `TorchTrainer` of one worker, with one thread, as ours have. It finds our
teacher trained, and Ray as we start it, which suits it (`sweeps.slots.cluster`).

Nobody waits for 64 of those. Measured are, of the trials that end at each rung, the one of median planned cost (so
three, with three rungs); the others are taken to be like the measured one of their rung, and as many to be trained at
once as we have slots, at no loss. Exit 1 if the other side takes less than 50 times our core-seconds or 20 times our
wall time. Linux only.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray import tune
from ray.train.torch import TorchTrainer
from torch.nn.functional import normalize

from benchmarks.materialised_crd import MaterialisedCRD
from benchmarks.one_at_a_time import OneAtATime
from benchmarks.processes import TreeWatch
from benchmarks.swept import Swept, sweep_digits
from sweeps.ledger.history import TrialRecord
from sweeps.slots.cluster import start_ray
from sweeps.slots.proxy import RESOURCES
from trainables.config import TrialConfig
from trainables.loop import open_teacher
from trainables.measure import Measurements
from trainables.randomness import torch_stream
from trainables.step import TrainingStep
from trainables.storage import Storage

CORES, WALL = 50, 20  # what is claimed


@dataclass(frozen=True)
class Cost:
    """Seconds of one fresh trial, and the core-seconds of all processes meanwhile."""

    wall: float
    cores: float


class PlainTrial:
    """One config, trained as one would without this system."""

    def __init__(self, config: TrialConfig, storage: str) -> None:
        self.config, self.task = config, config.task.load()
        self.teacher = open_teacher(config.teacher, self.task, Storage(storage))
        self.parts = TrainingStep(config)  # for its student and heads
        self.loss = MaterialisedCRD(
            config.task.source_samples,
            width=config.embedding,
            negatives=config.negatives.count,
            temperature=getattr(config.objective, "temperature"),  # noqa: B009  # of CRD, as the file says
        )
        self.optimizer = config.optimizer.build(self.parts.parameters())
        self.measurements = Measurements(config, self.task, self.teacher)

    def train(self, steps: int) -> None:
        """Train so many steps, reporting at rungs; a trial that comes to its end is evaluated whole."""
        for step in range(steps):
            self.step(step)
            if step + 1 in self.config.rung_steps():
                measured = self.measurements.of(self.parts.features)
                ray.train.report(measured.quick())
        if steps == self.config.steps:
            ray.train.report(measured.final())

    def step(self, step: int) -> None:
        """One batch, in an order that is new in each epoch."""
        samples, size = self.config.task.source_samples, self.config.batch_size
        epoch, position = divmod(step, samples // size)
        order = torch.randperm(samples, generator=torch_stream(self.config.seed, "order", epoch))
        sample_B = order[position * size :][:size]
        images = self.task.views(sample_B, epoch, self.config.seed)
        with torch.no_grad():
            teacher_features, _ = self.teacher.network(images)
        student_BD = normalize(self.parts.student_head(self.parts.student(images)), dim=1)
        teacher_BD = normalize(self.parts.teacher_head(teacher_features), dim=1)
        loss = self.loss(student_BD, teacher_BD, sample_B)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def plain_worker(told: dict[str, Any]) -> None:
    """What the worker of a fresh `TorchTrainer` runs."""
    torch.set_num_threads(1)
    PlainTrial(TrialConfig.model_validate(told["config"]), told["storage"]).train(told["steps"])


def fresh_trial(told: dict[str, Any]) -> dict[str, Any]:
    """What Ray Tune runs for a trial."""
    TorchTrainer(
        plain_worker,
        train_loop_config=told,
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(name=tune.get_context().get_trial_id(), storage_path=f"{told['storage']}/plain"),
    ).fit()
    return {"done": True}


def measured(trials: list[TrialRecord], storage: Path) -> list[Cost]:
    """What these trials take the plain way, one after another; a trial of one step before them warms Ray up."""
    told = [{"config": trial.config, "steps": trial.step, "storage": str(storage)} for trial in trials]
    start_ray()
    watch = TreeWatch(os.getpid())
    one_by_one = OneAtATime([told[0] | {"steps": 1}, *told], lambda: (time.perf_counter(), watch.core_seconds()))
    tune.Tuner(
        tune.with_resources(fresh_trial, RESOURCES),
        tune_config=tune.TuneConfig(search_alg=one_by_one, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(name="plain", storage_path=str(storage / "tune"), verbose=0),
    ).fit()
    watch.stop()
    ray.shutdown()
    return [Cost(ended[0] - began[0], ended[1] - began[1]) for began, ended in one_by_one.spans[1:]]


def typical(trials: list[TrialRecord]) -> TrialRecord:
    """The trial of median planned cost."""
    return sorted(trials, key=lambda trial: trial.compute["compute/cost_s"])[len(trials) // 2]


def report(ours: Swept, groups: list[list[TrialRecord]], costs: list[Cost]) -> tuple[float, float]:
    """Print both sides; the answer is the ratio of core-seconds and that of wall time."""
    negatives = statistics.median(trial.config["negatives"]["count"] for trial in ours.trials)
    states = [trial.state for trial in ours.trials]
    print(f"ours: {len(states)} trials ({states.count('complete')} complete, {states.count('pruned')} stopped early), ")
    print(f"  median of negatives {negatives:g}, embedding {ours.trials[0].config.get('embedding', 32)}")
    print(f"  {ours.usage.core_seconds:.1f} core-seconds, {ours.usage.wall:.1f} s wall in {ours.slots} slots,", end=" ")
    print(f"{ours.training_share:.1%} of it training arithmetic; first trial after", end=" ")
    print(f"{ours.first_trial - ours.usage.began:.1f} s")
    for group, cost in zip(groups, costs, strict=True):
        print(f"plain, {group[0].step} steps: {cost.cores:.1f} core-seconds, {cost.wall:.1f} s wall; ", end="")
        print(f"1 measured, taken for {len(group)} trials")
    cores = sum(len(group) * cost.cores for group, cost in zip(groups, costs, strict=True))
    wall = sum(len(group) * cost.wall for group, cost in zip(groups, costs, strict=True)) / ours.slots
    print(f"plain, extrapolated from {len(costs)} trials: {cores:.0f} core-seconds, {wall:.0f} s wall", end="")
    print(f" with {ours.slots} at once")
    return cores / ours.usage.core_seconds, wall / ours.usage.wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--embedding", type=int, default=128, help="width of the contrast; the file's own is 32")
    arguments = parser.parse_args()
    overrides = [
        f"budget.trials={arguments.trials}",
        f"trial.embedding={arguments.embedding}",
        "trial.memory.size=1083",
        "trial.negatives.count={int: [965, 1083]}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        ours = sweep_digits(storage, overrides)
        by_steps = defaultdict(list)
        for trial in ours.trials:
            by_steps[trial.step].append(trial)
        groups = [by_steps[steps] for steps in sorted(by_steps)]
        costs = measured([typical(group) for group in groups], storage)
    cores, wall = report(ours, groups, costs)
    print(f"ratio: {cores:.0f} in core-seconds (claimed {CORES}), {wall:.0f} in wall time (claimed {WALL})")
    sys.exit(cores < CORES or wall < WALL)


if __name__ == "__main__":
    main()
