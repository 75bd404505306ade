"""What it costs to find the front: the product's search and stopping, and what people use, on the same table of trials.

    python -m benchmarks.search_quality [--repeats 30] [--processes 2] [--only random ...] [--mean-trials 340]
                                        [--kept FILE]

Each repeat replays a sweep of `benchmarks/digits_table.yaml` in the simulator (`benchmarks.simulator`), with four
trials under way at a time, on the table of one of the three seeds: a sweep has one seed, and so its true front is that
of this seed. Printed is the modelled cost, in seconds of the reference device and with all stopped trials, until the
complete trials have 95 % of its hypervolume: median and quartiles, and a 95 % interval of the median by bootstrap; a
repeat that does not get there within the cost of so many mean trials counts as infinite. Beside it: what share the same
trials have of the true front of the mean of all seeds, how many repeats got there, trials trained to their end and
stopped by then, and false front members: how many trials that were stopped the searcher itself shows as its front, per
sweep. Some take core-hours for their suggestions: each repeat is written to the file `--kept` when it is done, a JSON
object a line, and what is there is not done again.

Claimed, and exit 1 if not so: the product needs at most half of the best of the others, and shows no false member.
"""

import argparse
import json
import math
import os
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import bootstrap

from benchmarks.our_search import Ours
from benchmarks.rivals import Optuna, RayTune, SyneTune
from benchmarks.simulator import Hypervolume, Searcher, Trace, simulate
from benchmarks.table import SEEDS, Table

SLOTS, SHARE = 4, 0.95
NEVER = 1e9  # the cost of a repeat that did not get there, where infinity cannot be averaged
OURS = "ours: cost_aware"
COLUMNS = (
    "searcher",
    "median cost",
    "its 95 % interval",
    "quartiles",
    "got there",
    "of the mean's front",
    "complete",
    "stopped",
    "false members",
)

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
    "Ray OptunaSearch + ASHA": RayTune,
    "Syne Tune MOASHA": SyneTune,
    "ours: tpe": ours("tpe"),
    OURS: ours("cost_aware"),
    "ours: cost_aware, non_dominated": ours("cost_aware", "non_dominated"),
}


@dataclass(frozen=True)
class Repeat:
    """One sweep: what it had cost when it got there (or infinity), and what it had done by then."""

    searcher: str
    number: int
    given_up_at: float
    cost: float
    of_the_mean: float
    complete: int
    cut: int
    false_members: int


@cache
def table() -> Table:
    return Table.read()


@cache
def volume(seed: int | None) -> Hypervolume:
    """Of a seed, or of the mean of all."""
    return Hypervolume(table(), table().truth_C if seed is None else table().accuracy_CSR[:, seed, -1])


def repeat(name: str, number: int, most: float) -> Repeat:
    """Given up at the cost `most`."""
    warnings.simplefilter("ignore")
    searcher, seed = SEARCHERS[name](table(), number), number % len(SEEDS)

    def there(trace: Trace) -> bool:
        return volume(seed).share(trace.complete) >= SHARE

    trace = simulate(searcher, table(), seed, SLOTS, lambda trace: trace.spent > most or there(trace))
    return Repeat(
        searcher=name,
        number=number,
        given_up_at=most,
        cost=trace.spent if there(trace) else math.inf,
        of_the_mean=volume(None).share(trace.complete),
        complete=len(trace.complete),
        cut=len(trace.cut),
        false_members=len(trace.cut & set(searcher.front())),
    )


class Kept:
    """Repeats that were done before, and a place for more: a file, if one is given."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file and file.exists() else []
        self._known = {self._key(each): each for each in (Repeat(**json.loads(line)) for line in lines)}

    def repeats(self, pool: Executor, name: str, count: int, most: float) -> list[Repeat]:
        """So many of a searcher, of which those are done that were not yet."""
        keys = [(name, number, most) for number in range(count)]
        for done in pool.map(repeat, *zip(*[key for key in keys if key not in self._known], strict=True)):
            self._known[self._key(done)] = done
            if self._file:
                with self._file.open("a") as file:
                    print(json.dumps(asdict(done)), file=file)
        return [self._known[key] for key in keys]

    @staticmethod
    def _key(repeat: Repeat) -> tuple[str, int, float]:
        return repeat.searcher, repeat.number, repeat.given_up_at


def interval(costs: NDArray[np.float64]) -> tuple[float, float]:
    """Of the median; repeats that did not get there count as very dear."""
    finite = np.where(np.isfinite(costs), costs, NEVER)
    if len(set(finite)) == 1:
        return float(costs[0]), float(costs[0])
    found = bootstrap((finite,), np.median, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return tuple(math.inf if end > NEVER / 10 else float(end) for end in found)  # type: ignore[return-value]


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
        f"{np.median([each.of_the_mean for each in repeats]):.2f}",
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
    parser.add_argument("--mean-trials", type=int, default=340)
    parser.add_argument("--kept", type=Path)
    arguments = parser.parse_args()
    most = arguments.mean_trials * float(table().cost_C.mean())
    print(f"| {' | '.join(COLUMNS)} |")
    print(f"{'|---' * len(COLUMNS)}|")
    median, false, kept = {}, {}, Kept(arguments.kept)
    with ProcessPoolExecutor(arguments.processes) as pool:
        for name in arguments.only:
            repeats = kept.repeats(pool, name, arguments.repeats, most)
            print(line(name, repeats), flush=True)
            median[name] = float(np.median([each.cost for each in repeats]))
            false[name] = sum(each.false_members for each in repeats)
    rivals = [cost for name, cost in median.items() if not name.startswith("ours")]
    if OURS not in median or not rivals:
        return 0
    best = min(rivals)
    ratio = median[OURS] / min(best, most)
    at_most = "" if best < most else " at most"
    print(f"the product needs{at_most} {ratio:.2f} of what the best of the others needs (claimed: 0.5)")
    print(f"and shows {false[OURS]} false members")
    return int(ratio > 0.5 or false[OURS] > 0)


if __name__ == "__main__":
    sys.exit(main())
