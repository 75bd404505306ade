"""Which trials go on at a rung. A rule reads the history and returns a verdict; the driver alone acts on it.

A trial is ranked among all that reached the same rung, by its goals there and its *full* planned compute, so that being
cut short never looks like being cheap. Everything is read from the ledger: a resumed sweep judges as an uninterrupted
one would have.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import assert_never

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.policies import Asha, NonDominated, NoStop, StopConfig
from sweeps.events import Reported
from sweeps.front import Goals
from sweeps.ledger.history import History, TrialRecord
from trainables.outcomes import Verdict


class Judge:
    """The verdicts of a rule on the reports of a sweep, given its history, which goes on to grow."""

    def __init__(self, rule: StopConfig, history: History, goals: Goals) -> None:
        self.rule, self.history, self.goals = rule, history, goals
        self._known: dict[int, tuple[array[int], array[float]]] = {}  # by rung: numbers of trials, and their values

    def __call__(self, report: Reported) -> Verdict:
        """The verdict on a trial that reports at a rung, given every trial that reached this rung before it."""
        if isinstance(self.rule, NoStop) or report.fidelity >= 1:
            return "continue"
        own = _values(self.history.trials[report.trial], report.metrics, self.goals)
        return keeps(self.rule, own, self._others(report))

    def _others(self, report: Reported) -> NDArray[np.float64]:
        """The values (N, goals) of all others at the rung, in the order of their trials; each is worked out once."""
        numbers, values = self._known.setdefault(report.rung, (array("q"), array("d")))
        for trial in self.history.at_rung[report.rung][len(numbers) :]:
            numbers.append(trial.number)
            values.extend(_values(trial, trial.reports[report.rung].metrics, self.goals))
        number_N = np.array(numbers, dtype=np.int64)
        order = np.argsort(number_N, kind="stable")
        values_NG = np.array(values, dtype=np.float64).reshape(-1, len(self.goals))
        others: NDArray[np.float64] = values_NG[order[number_N[order] != report.trial]]
        return others


def keeps(rule: StopConfig, own: Sequence[float], others: ArrayLike) -> Verdict:
    """The verdict of a rule on the values of one trial beside those of all others at its rung.

    Each has one value for each goal, in the order of the goals, all to be minimised; infinity is the worst.
    """
    values = np.concatenate([[own], np.reshape(np.asarray(others, dtype=np.float64), (-1, len(own)))])
    reached = len(values)
    match rule:
        case NoStop():
            return "continue"
        case NonDominated():
            if reached < rule.minimum:
                return "continue"
            place, kept = _place_by_dominance(values), math.ceil(rule.keep * reached)
        case Asha():
            place, kept = int((values[1:, 0] < own[0]).sum()), math.ceil(reached / rule.reduction)
        case _:
            assert_never(rule)
    return "continue" if place < kept else "stop"


def _place_by_dominance(values: NDArray[np.float64]) -> int:
    """How many come before the first of `values` (N, goals).

    The lower front comes first (non-dominated sorting), within a front the one with more room around it: the order of
    NSGA-II (Deb et al. 2002, sections III-A and III-B).
    """
    ranks = moocore.pareto_rank(np.nan_to_num(values, posinf=np.finfo(np.float64).max))
    peers = ranks == ranks[0]
    room = crowding_distances(values[peers])
    return int((ranks < ranks[0]).sum() + (room > room[0]).sum())


def crowding_distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far apart the neighbours of each of `values` (N, goals) are, as a share of the range, summed over the goals.

    Infinite at the ends of a goal; a goal in which all are equal, or one is infinite, tells nobody apart.
    """
    room = np.zeros(len(values))
    for of_goal in values.T:
        order = np.argsort(of_goal, kind="stable")
        low, high = of_goal[order[0]], of_goal[order[-1]]
        if math.isfinite(low) and math.isfinite(high) and low < high:
            room[order[[0, -1]]] = math.inf
            room[order[1:-1]] += (of_goal[order[2:]] - of_goal[order[:-2]]) / (high - low)
    return room


def _values(trial: TrialRecord, metrics: Mapping[str, float], goals: Goals) -> list[float]:
    at_full_cost = {**metrics, **trial.compute}
    signed = [at_full_cost.get(goal, math.nan) * (1 if way == "minimize" else -1) for goal, way in goals.items()]
    return [math.inf if math.isnan(value) else value for value in signed]
