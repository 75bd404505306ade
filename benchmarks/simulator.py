"""A sweep without training: searchers against the table of `benchmarks.table`, with an explicit clock.

Time is modelled seconds: a trial takes from one rung to the next what this costs, and `slots` of them run at once. What
a searcher is told is what it would have been told by real trials: accuracies of one seed, at rungs and at the end.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import moocore
import numpy as np
from numpy.typing import NDArray

from benchmarks.table import FIDELITIES, Table

#: What an untrained student reaches (benchmarks/README.md): a front below it is worth nothing.
UNTRAINED = 0.458


class Searcher(Protocol):
    """Whoever says what is trained next, and hears of it. Trials have numbers, which are the searcher's own."""

    def next_trial(self) -> tuple[int, int] | None:
        """The number of a trial and the config that it trains; None if nothing is to be begun now."""

    def reached(self, trial: int, rung: int, accuracy: float) -> bool:
        """A trial has come to a rung before its end; the answer is whether it goes on."""

    def ended(self, trial: int, accuracy: float) -> None:
        """A trial was trained to its end."""

    def front(self) -> list[int]:
        """The numbers of the trials that the searcher itself shows as its front."""


@dataclass
class Trace:
    """What became of a simulated sweep.

    `spent` is the modelled cost of all that was trained, `complete` has configs that were trained to their end, and
    `cut` the trials that were stopped.
    """

    spent: float
    complete: list[int]
    cut: set[int]


def simulate(searcher: Searcher, table: Table, seed: int, slots: int, done: Callable[[Trace], bool]) -> Trace:
    """Let a searcher work until `done`, which is asked as each trial leaves, or until it has nothing more."""
    trace, under_way = Trace(0.0, [], set()), list[tuple[float, int, int, int]]()
    now = 0.0
    steps = np.diff((0.0, *FIDELITIES))
    while not done(trace):
        while len(under_way) < slots and (begun := searcher.next_trial()) is not None:
            trial, config = begun
            heapq.heappush(under_way, (now + steps[0] * table.cost_C[config], trial, config, 0))
        if not under_way:
            break
        now, trial, config, rung = heapq.heappop(under_way)
        trace.spent += float(steps[rung] * table.cost_C[config])
        accuracy = float(table.accuracy_CSR[config, seed, rung])
        if rung == len(FIDELITIES) - 1:
            searcher.ended(trial, accuracy)
            trace.complete.append(config)
        elif searcher.reached(trial, rung, accuracy):
            heapq.heappush(under_way, (now + steps[rung + 1] * table.cost_C[config], trial, config, rung + 1))
        else:
            trace.cut.add(trial)
    return trace


class Hypervolume:
    """The share of a true front's hypervolume that a set of configs has: of one seed (S of them), or of their mean.

    The axes are accuracy and the logarithm of the cost; the point of reference is twice the dearest config's cost, so
    that the dear end of the front counts too, and the accuracy of an untrained student.
    """

    def __init__(self, table: Table, accuracy_C: NDArray[np.float64]) -> None:
        self._points = np.stack([np.log(table.cost_C), -accuracy_C], axis=1)
        self._reference = [float(np.log(2 * table.cost_C.max())), -UNTRAINED]
        self._whole = self._of(self._points)

    def share(self, configs: Sequence[int]) -> float:
        """Between 0 and 1."""
        return self._of(self._points[list(configs)]) / self._whole if len(configs) else 0.0

    def _of(self, points: NDArray[np.float64]) -> float:
        return float(moocore.hypervolume(points, ref=self._reference))
