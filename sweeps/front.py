"""The front of a sweep: the complete trials that no other complete trial beats, and which of them to take."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import moocore
import numpy as np
from numpy.typing import NDArray

from sweeps.constraints import Constraints, kept
from sweeps.ledger.history import TrialRecord
from sweeps.refusals import Refusal

Goal = Literal["maximize", "minimize"]

#: Parameter of a trial that repeats one of another sweep with a fresh seed (`sweeps.confirmation`): a lone seed, which
#: says something of its point together with others only.
REPLICATE = "replicate"

#: Metric names in order of importance, and which way each is better.
Goals = Mapping[str, Goal]


def front(trials: Iterable[TrialRecord], goals: Goals, constraints: Constraints) -> list[TrialRecord]:
    """Non-dominated complete trials that keep the constraints, with a finite value for every goal, cheapest first.

    Sorted by the first minimised goal, or else by the first goal, best first; then by number. Trials with equal values
    are all kept. A pruned or failed trial never stands on the front, whatever it reached: it was not trained to the
    end. Nor does one that repeats another (`REPLICATE`).
    """
    candidates = eligible(trials, goals, constraints)
    if not candidates:
        return []
    unbeaten = moocore.is_nondominated(_costs(candidates, goals), keep_weakly=True)
    chosen = [trial for trial, stands in zip(candidates, unbeaten, strict=True) if stands]
    return sorted(chosen, key=lambda trial: (_order(trial, goals), trial.number))


def eligible(trials: Iterable[TrialRecord], goals: Goals, constraints: Constraints) -> list[TrialRecord]:
    """Those of the trials that may stand on a front: complete, of their own, with every goal, keeping every bound."""
    return [trial for trial in trials if _is_candidate(trial, goals) and kept(constraints, trial.metrics)]


def knee(front: Sequence[TrialRecord], goals: Goals) -> TrialRecord:
    """The point of a front farthest from the straight line between its ends, towards the better side.

    Axes are scaled to [0, 1] over the front, and a minimised goal that is positive throughout is taken by its logarithm
    (half the cost counts the same at any cost). A front that bulges nowhere gives its first end. Raises `Refusal` when
    the front is empty.
    """
    if not front:
        raise Refusal("a knee needs a front, and this one is empty: no trial has completed. Run more trials")
    worth = sum(_worth([trial.metrics[goal] for trial in front], way) for goal, way in goals.items())
    # Rounded, so that the two ends of a straight front tie instead of differing in the last bit.
    return front[int(np.argmax(np.round(worth, 12)))]


def best(
    front: Sequence[TrialRecord],
    goals: Goals,
    at_least: Mapping[str, float],
    at_most: Mapping[str, float],
    at_knee: bool = False,
) -> TrialRecord:
    """The point of a front to take: its knee, or under bounds the best of the points that keep them.

    The best is that of the first goal without a bound: at most so much cost, the most accurate; at least so much
    accuracy, the cheapest. With `at_knee` it is the knee of those points. Bounds may name any metric that the trials
    have. Ties go to the earlier point, so to the cheaper one. Raises `Refusal` when no point keeps the bounds.
    """
    if not at_least and not at_most:
        return knee(front, goals)
    within = [trial for trial in front if _keeps(trial, at_least, at_most)]
    if not within:
        raise Refusal(_nothing_within(front, at_least, at_most))
    if at_knee:
        return knee(within, goals)
    free = {name: way for name, way in goals.items() if name not in at_least and name not in at_most} or goals
    first, way = next(iter(free.items()))
    return min(within, key=lambda trial: _signed(trial.metrics[first], way))


def _is_candidate(trial: TrialRecord, goals: Goals) -> bool:
    own = trial.state == "complete" and REPLICATE not in trial.parameters
    return own and all(math.isfinite(trial.metrics.get(goal, math.nan)) for goal in goals)


def _costs(trials: Sequence[TrialRecord], goals: Goals) -> NDArray[np.float64]:
    """The goals of trials, (N, goals), all to be minimised."""
    return np.array([[_signed(trial.metrics[goal], way) for goal, way in goals.items()] for trial in trials])


def _signed(value: float, way: Goal) -> float:
    return value if way == "minimize" else -value


def _order(trial: TrialRecord, goals: Goals) -> float:
    name, way = next(((name, way) for name, way in goals.items() if way == "minimize"), next(iter(goals.items())))
    return _signed(trial.metrics[name], way)


def _worth(values: list[float], way: Goal) -> NDArray[np.float64]:
    """Values as 0 (the worst of the front) to 1 (the best)."""
    axis = np.array(values, dtype=np.float64)
    if way == "minimize" and (axis > 0).all():
        axis = np.log(axis)
    axis = -axis if way == "minimize" else axis
    span = axis.max() - axis.min()
    return (axis - axis.min()) / span if span > 0 else np.zeros_like(axis)


def _keeps(trial: TrialRecord, at_least: Mapping[str, float], at_most: Mapping[str, float]) -> bool:
    value = trial.metrics
    return all(value.get(name, math.nan) >= bound for name, bound in at_least.items()) and all(
        value.get(name, math.nan) <= bound for name, bound in at_most.items()
    )


def _nothing_within(front: Sequence[TrialRecord], at_least: Mapping[str, float], at_most: Mapping[str, float]) -> str:
    asked = [f"{name} >= {bound:g}" for name, bound in at_least.items()]
    asked += [f"{name} <= {bound:g}" for name, bound in at_most.items()]
    ranges = []
    for name in dict.fromkeys([*at_least, *at_most]):
        values = [trial.metrics[name] for trial in front if name in trial.metrics]
        ranges.append(f"{name} from {min(values):g} to {max(values):g}" if values else f"no metric {name}")
    return f"no point of the front has {' and '.join(asked)}; it offers {', '.join(ranges)}. Loosen a bound"
