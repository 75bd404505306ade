"""What a trial costs that trains nothing: through slots, and with a worker group of Ray Train of its own.

    python -m benchmarks.trial_overhead [--trials 40] [--fresh 3]

Prints the seconds per trial after the first of both ways, one trial at a time in each, and their ratio.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import ray
import ray.train
from ray import tune
from ray.train.torch import TorchTrainer
from ray.tune.schedulers import FIFOScheduler

from benchmarks.one_at_a_time import OneAtATime
from search_spaces.policies import SlotClass
from sweeps.slots.cluster import start_ray
from sweeps.slots.proxy import RESOURCES, tune_config
from sweeps.slots.records import Job
from sweeps.slots.slots import SlotPlan, Slots
from sweeps.slots.tuning import run_trials
from trainables.outcomes import Outcome


def empty_trial(config: Mapping[str, Any], **_: Any) -> Outcome:
    """A trial that ends at once."""
    return Outcome("complete", config["steps"], 1.0, {}, "none")


Clock = OneAtATime[float]


def empty_trials(trials: int) -> Clock:
    return Clock([tune_config(Job(number, {"steps": 0})) for number in range(1, trials + 1)], time.perf_counter)


def seconds_per_trial(clock: Clock) -> float:
    """After the first trial."""
    ended = [end for _, end in clock.spans]
    return (ended[-1] - ended[0]) / (len(ended) - 1)


def through_slots(trials: int, workspace: str) -> Clock:
    clock = empty_trials(trials)
    plan = SlotPlan([SlotClass(slots=1)], run_trial="benchmarks.trial_overhead:empty_trial")
    with Slots(plan, "overhead", "1", workspace) as slots:
        run_trials(clock, FIFOScheduler(), slots)
    return clock


def train_nothing() -> None:
    """The worker's whole work, where every trial has a worker group of its own."""


def fresh_trial(config: dict[str, Any]) -> dict[str, Any]:
    """A Tune trial that starts a worker group, trains nothing with it and lets it go."""
    TorchTrainer(
        train_nothing,
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(name=tune.get_context().get_trial_id(), storage_path=config["storage"]),
    ).fit()
    return {"done": True}


def through_fresh_trainers(trials: int, workspace: str) -> Clock:
    clock = empty_trials(trials)
    tune.Tuner(
        tune.with_resources(fresh_trial, RESOURCES),
        param_space={"storage": f"{workspace}/train"},
        tune_config=tune.TuneConfig(search_alg=clock, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(name="fresh", storage_path=workspace, verbose=0),
    ).fit()
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="empty trials through one slot")
    parser.add_argument("--fresh", type=int, default=3, help="empty trials with a TorchTrainer each")
    arguments = parser.parse_args()
    began = time.perf_counter()
    start_ray(cpus=2)
    with tempfile.TemporaryDirectory() as workspace:
        slots = through_slots(arguments.trials, workspace)
        fresh = through_fresh_trainers(arguments.fresh, workspace)
    ray.shutdown()
    print(f"first trial through a slot ended after {slots.spans[0][1] - began:.1f} s, Ray's start included")
    print(f"slots: {seconds_per_trial(slots):.3f} s per trial ({arguments.trials} trials)")
    print(f"fresh TorchTrainer: {seconds_per_trial(fresh):.1f} s per trial ({arguments.fresh} trials)")
    print(f"ratio: {seconds_per_trial(fresh) / seconds_per_trial(slots):.0f}")


if __name__ == "__main__":
    main()
