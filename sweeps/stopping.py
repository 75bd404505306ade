"""Which trials go on at a rung. A rule reads the history and returns a verdict; the driver alone acts on it."""

import math
from collections.abc import Mapping

import numpy as np

from search_spaces.policies import NoStop, StopConfig
from sweeps.events import Reported
from sweeps.front import Goals
from sweeps.ledger.history import History, TrialRecord
from trainables.outcomes import Verdict


def judge(rule: StopConfig, history: History, goals: Goals, report: Reported) -> Verdict:
    """The verdict on a trial that reports at a rung, given every trial that reached this rung before it.

    A trial is ranked by how many of the others dominate it (Fonseca and Fleming 1993) on its goal metrics at the rung
    and its *full* planned compute, so that being cut short never looks like being cheap.
    """
    if isinstance(rule, NoStop) or report.fidelity >= 1:
        return "continue"
    own = _values(history.trials[report.trial], report.metrics, goals)
    others = [
        _values(trial, trial.reports[report.rung].metrics, goals)
        for trial in history.trials.values()
        if report.rung in trial.reports and trial.number != report.trial
    ]
    return keeps(rule, own, others)


def keeps(rule: StopConfig, own: list[float], others: list[list[float]]) -> Verdict:
    """The verdict of a rule on the values of one trial beside those of all others at its rung.

    Each has one value for each goal, in the order of the goals, all to be minimised.
    """
    reached = len(others) + 1
    if isinstance(rule, NoStop) or reached < rule.minimum:
        return "continue"
    values = np.array([own, *others])
    dominators = [int(_dominates(values, point).sum()) for point in values]
    better = sum(count < dominators[0] for count in dominators)
    return "continue" if better < math.ceil(rule.keep * reached) else "stop"


def _dominates(values: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Which of `values` (N, goals), all to be minimised, are nowhere worse than `point` and somewhere better."""
    nowhere_worse, somewhere_better = np.all(values <= point, axis=1), np.any(values < point, axis=1)
    return np.asarray(nowhere_worse & somewhere_better)


def _values(trial: TrialRecord, metrics: Mapping[str, float], goals: Goals) -> list[float]:
    at_full_cost = {**metrics, **trial.compute}
    signed = [at_full_cost.get(goal, math.nan) * (1 if way == "minimize" else -1) for goal, way in goals.items()]
    return [math.inf if math.isnan(value) else value for value in signed]
