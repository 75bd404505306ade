"""What it costs to find the front: the product's search and stopping, and what people use, on the same table of trials.

    python -m benchmarks.search_quality [--repeats 30] [--processes 2] [--only ours random ...]

Each repeat replays a sweep of `benchmarks/digits_table.yaml` in the simulator (`benchmarks.simulator`), with four
trials under way at a time: a searcher is told accuracies of one of the three seeds, the truth is the mean of all three.
Printed is the modelled cost, in seconds of the reference device and with all stopped trials, until the complete trials
have 95 % of the hypervolume of the true front: median and quartiles, and a 95 % interval of the median by bootstrap; a
repeat that does not get there within the cost of 150 mean trials counts as infinite. A trial counts by its true value,
not by the one seed that was seen: to tell those apart is what `python -m sweeps confirm` is for. Beside it: how many
repeats got there, trials trained to their end and stopped by then, and false front members: how many trials that were
stopped the searcher itself shows as its front, per sweep.

Claimed, and exit 1 if not so: the product needs at most half of the best of the others, and shows no false member.
"""

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import bootstrap

from benchmarks.our_search import Ours
from benchmarks.rivals import Optuna, RayTune, SyneTune
from benchmarks.simulator import Hypervolume, Searcher, Trace, simulate
from benchmarks.table import SEEDS, Table

SLOTS, SHARE, MEAN_TRIALS = 4, 0.95, 150
OURS = "ours: cost_aware, stopping"

Made = Callable[[Table, int], Searcher]


def ours(search: str, stop: str = "none") -> Made:
    def made(table: Table, seed: int) -> Searcher:
        seeded = "" if search.startswith("grid") else f", seed: {seed}"
        return Ours(table, SLOTS, [f"search={{name: {search}{seeded}}}", f"stop={{name: {stop}}}"])

    return made


SEARCHERS: dict[str, Made] = {
    "random": ours("random"),
    "grid": ours("grid, points: 5"),
    "Optuna TPE": lambda table, seed: Optuna(table, optuna.samplers.TPESampler(seed=seed)),
    "Optuna NSGA-II": lambda table, seed: Optuna(table, optuna.samplers.NSGAIISampler(seed=seed)),
    "Optuna GP": lambda table, seed: Optuna(table, optuna.samplers.GPSampler(seed=seed)),
    "Ray OptunaSearch + ASHA, reduction 4": lambda table, seed: RayTune(table, seed, 4),
    "Ray OptunaSearch + ASHA, reduction 2": lambda table, seed: RayTune(table, seed, 2),
    "Syne Tune MOASHA": SyneTune,
    "ours: tpe, no stopping": ours("tpe"),
    "ours: cost_aware, no stopping": ours("cost_aware"),
    OURS: ours("cost_aware", "non_dominated"),
}


@dataclass(frozen=True)
class Repeat:
    """One sweep: what it had cost when it got there (or infinity), and what it had done by then."""

    searcher: str
    cost: float
    complete: int
    cut: int
    false_members: int


@cache
def table() -> tuple[Table, Hypervolume]:
    read = Table.read()
    return read, Hypervolume(read)


def repeat(name: str, number: int) -> Repeat:
    warnings.simplefilter("ignore")
    trials, volume = table()
    most = MEAN_TRIALS * float(trials.cost_C.mean())
    searcher = SEARCHERS[name](trials, number)

    def there(trace: Trace) -> bool:
        return volume.share(trace.complete) >= SHARE

    trace = simulate(searcher, trials, number % len(SEEDS), SLOTS, lambda trace: trace.spent[-1] > most or there(trace))
    cost = trace.spent[-1] if there(trace) else math.inf
    false = len(trace.cut & set(searcher.front()))
    return Repeat(name, cost, len(trace.complete), len(trace.cut), false)


def interval(costs: NDArray[np.float64]) -> tuple[float, float]:
    """Of the median; repeats that did not get there count as very dear."""
    finite = np.where(np.isfinite(costs), costs, 1e9)
    if len(set(finite)) == 1:
        return float(costs[0]), float(costs[0])
    found = bootstrap((finite,), np.median, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return tuple(math.inf if end >= 1e9 else float(end) for end in found)  # type: ignore[return-value]


def line(name: str, repeats: list[Repeat]) -> str:
    costs = np.array([each.cost for each in repeats])
    low, high = interval(costs)
    quartiles = np.quantile(costs, [0.25, 0.75], method="nearest")
    cells = [
        name,
        f"{np.median(costs):.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{quartiles[0]:.2f} to {quartiles[1]:.2f}",
        f"{np.isfinite(costs).sum()} of {len(costs)}",
        f"{np.mean([each.complete for each in repeats]):.0f}",
        f"{np.mean([each.cut for each in repeats]):.0f}",
        f"{np.mean([each.false_members for each in repeats]):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="*", choices=list(SEARCHERS), default=list(SEARCHERS))
    arguments = parser.parse_args()
    print("| searcher | median cost | its 95 % interval | quartiles | got there | complete | stopped | false members |")
    print("|---|---|---|---|---|---|---|---|")
    median, false = {}, {}
    with ProcessPoolExecutor(arguments.processes) as pool:
        for name in arguments.only:
            repeats = list(pool.map(repeat, [name] * arguments.repeats, range(arguments.repeats)))
            print(line(name, repeats), flush=True)
            median[name] = float(np.median([each.cost for each in repeats]))
            false[name] = sum(each.false_members for each in repeats)
    rivals = [cost for name, cost in median.items() if not name.startswith("ours")]
    if OURS not in median or not rivals:
        return 0
    ratio = median[OURS] / min(rivals)
    print(
        f"the product needs {ratio:.2f} of the best of the others (claimed: 0.5), and shows {false[OURS]} false members"
    )
    return int(ratio > 0.5 or false[OURS] > 0)


if __name__ == "__main__":
    sys.exit(main())
