"""What TPE loses when it is told of the newest trials only, and what it saves: two goals, six parameters, some noise.

    python -m benchmarks.told [--trials 800] [--most 200] [--seeds 3]

Printed are the hypervolume of the trials without their noise, which is what a sweep has found, and the CPU time of all
suggestions: told of all trials, of the newest `--most` (`sweeps.search.told`), and of the best half of so many by their
fronts with the newest for the rest. The product's figures are 10,000 trials and 2,000; the ratio is the same here.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import moocore
import numpy as np
import optuna
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.table import Table

from sweeps.search.told import ToldStorage, newest

DIMENSIONS, NOISE = 6, 0.02
REFERENCE = [1.1, 3.0]

Told = Callable[[list[FrozenTrial], int], list[FrozenTrial]]


def best_and_newest(trials: list[FrozenTrial], most: int) -> list[FrozenTrial]:
    if len(trials) <= most:
        return trials
    ranks = moocore.pareto_rank(np.array([trial.values for trial in trials]))
    best = set(np.argsort(ranks, kind="stable")[: most // 2].tolist())
    rest = [trial.number for trial in trials if trial.number not in best]
    kept = best | set(rest[-(most - len(best)) :])
    return [trial for trial in trials if trial.number in kept]


WAYS: dict[str, Told] = {
    "all": lambda trials, _: trials,
    "the newest": newest,
    "the best and the newest": best_and_newest,
}


def goals(at: list[float]) -> tuple[float, float]:
    """Cost and error, both to be minimised; the best of the other parameters moves with the cost."""
    off = [(x - 0.5 * np.sin(3 * at[0] + place) - 0.3) ** 2 for place, x in enumerate(at[1:], start=1)]
    height = 1 + 3 * np.mean(off) ** 0.5
    return at[0], float(height * (1 - np.sqrt(at[0] / height)))


def searched(told: Told, seed: int, trials: int, most: int) -> tuple[float, float]:
    """The hypervolume that a search has found, and the CPU seconds of its suggestions."""
    chance, storage, found, asked_s = np.random.default_rng(seed), ToldStorage(), [], 0.0
    study = optuna.create_study(directions=["minimize"] * 2, storage=storage)
    for number in range(trials):
        study.sampler = optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed * 100_000 + number)
        begun = time.process_time()
        with storage.showing(told(study.get_trials(deepcopy=False), most)):
            asked = study.ask()
            at = [asked.suggest_float(f"x{place}", 0, 1) for place in range(DIMENSIONS)]
        asked_s += time.process_time() - begun
        cost, error = goals(at)
        found.append((cost, error))
        study.tell(asked, [cost, error + chance.normal() * NOISE])
    return float(moocore.hypervolume(np.array(found), ref=REFERENCE)), asked_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=800)
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = Table("told of", "hypervolume, by seed", "mean", "CPU s", "of the time")
    whole = 0.0
    for name, told in WAYS.items():
        runs = [searched(told, seed, arguments.trials, arguments.most) for seed in range(arguments.seeds)]
        volumes, seconds = [volume for volume, _ in runs], sum(each for _, each in runs)
        whole = whole or seconds
        shown = ", ".join(f"{volume:.3f}" for volume in volumes)
        table.add_row(name, shown, f"{statistics.mean(volumes):.3f}", f"{seconds:.1f}", f"{seconds / whole:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
