"""Which trials go on at a rung. A rule reads the history and returns a verdict; the driver alone acts on it.

A trial is ranked among all that reached the same rung, by its goals there and its *full* planned compute, so that being
cut short never looks like being cheap. Everything is read from the ledger: a resumed sweep judges as an uninterrupted
one would have.
"""

import math
from collections.abc import Mapping, Sequence
from typing import assert_never

import moocore
import numpy as np
from numpy.typing import NDArray

from search_spaces.policies import Asha, NonDominated, NoStop, StopConfig
from sweeps.events import Reported
from sweeps.front import Goals
from sweeps.ledger.history import History, TrialRecord
from trainables.outcomes import Verdict


def judge(rule: StopConfig, history: History, goals: Goals, report: Reported) -> Verdict:
    """The verdict on a trial that reports at a rung, given every trial that reached this rung before it."""
    if isinstance(rule, NoStop) or report.fidelity >= 1:
        return "continue"
    own = _values(history.trials[report.trial], report.metrics, goals)
    others = [
        _values(trial, trial.reports[report.rung].metrics, goals)
        for trial in history.trials.values()
        if report.rung in trial.reports and trial.number != report.trial
    ]
    return keeps(rule, own, others)


def keeps(rule: StopConfig, own: Sequence[float], others: Sequence[Sequence[float]]) -> Verdict:
    """The verdict of a rule on the values of one trial beside those of all others at its rung.

    Each has one value for each goal, in the order of the goals, all to be minimised; infinity is the worst.
    """
    reached = len(others) + 1
    match rule:
        case NoStop():
            return "continue"
        case NonDominated():
            if reached < rule.minimum:
                return "continue"
            place, kept = _place_by_dominance(np.array([own, *others])), math.ceil(rule.keep * reached)
        case Asha():
            place, kept = sum(other[0] < own[0] for other in others), math.ceil(reached / rule.reduction)
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
