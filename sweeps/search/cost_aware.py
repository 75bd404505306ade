"""Search that knows what a trial will cost before it is trained, and improves the front where that is cheapest.

Other searches learn the cost from trials, as if it were measured. Here it is planned (`trainables.compute`), so that a
model is needed of one goal only, and the expected improvement of the hypervolume (Emmerich et al. 2006) is a sum of
ordinary expected improvements, one for each step of the front. What is maximised is that improvement for each unit of
cost (cost-aware Bayesian optimisation, Lee et al. 2020). The model is a random forest, as in SMAC (Hutter et al. 2011):
it takes conditional spaces as they are, and what a stopped trial reached at its rungs as measurements at a fidelity.
"""

import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from search_spaces.policies import CostAware
from search_spaces.space import Point, Space
from sweeps.events import Reported, TrialState
from sweeps.search.samplers import trial_seed
from sweeps.search.surrogate import Encoding, Surrogate
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.metrics import COST_S, PLANNED_METRICS

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


class Known(Protocol):
    """What is looked at of a trial: `sweeps.ledger.history.TrialRecord` is one."""

    state: TrialState
    parameters: dict[str, Any]
    distributions: dict[str, str]
    compute: dict[str, float]
    metrics: dict[str, float]
    reports: dict[int, Reported]


class CostAwareSearch:
    """Chooses trials of a space by what they may add to the front for their cost.

    The goals are one measure and, as a rule, one metric of planned compute, which is minimised.
    """

    def __init__(self, space: Space, goals: Mapping[str, str], config: CostAware) -> None:
        self._space, self._config = space, config
        (self._measure,) = (goal for goal in goals if goal not in PLANNED_METRICS)
        self._price = next((goal for goal in goals if goal in PLANNED_METRICS), None)
        self._sign = 1.0 if goals[self._measure] == "maximize" else -1.0

    def choose(self, trials: Sequence[Known], number: int) -> Point:
        """Trial `number`, after all that were planned before: the same one for the same trials."""
        seed = trial_seed(self._config.seed, number)
        points = self._fresh(trials, seed)
        plans = [planned_metrics(TrialConfig.model_validate(point.config)) for point in points]
        cost = np.array([plan[COST_S] for plan in plans])
        if len(trials) < self._config.startup_trials or not any(trial.state == "complete" for trial in trials):
            return random.Random(seed).choices(points, weights=list(1 / cost))[0]
        gain = self._gain(trials, points, np.array([self._axis(plan) for plan in plans]), seed)
        return points[int(np.argmax(gain / cost))]

    def _fresh(self, trials: Sequence[Known], seed: int) -> list[Point]:
        """Candidates, none of which was tried: a trial repeats itself exactly. All of them if there is no other."""
        drawn = {_key(point): point for point in itertools.islice(self._space.sample(seed), self._config.candidates)}
        tried = {_key(trial) for trial in trials}
        return [point for key, point in drawn.items() if key not in tried] or list(drawn.values())

    def _gain(self, trials: Sequence[Known], points: Sequence[Point], axis: Vector, seed: int) -> Vector:
        told = [(trial, *value) for trial in trials for value in self._values(trial)]
        model = Surrogate(
            Encoding(trial.distributions for trial in trials),
            [trial.parameters for trial, _, _ in told],
            [fidelity for _, fidelity, _ in told],
            [value for _, _, value in told],
            seed,
        )
        # By what the model makes of them: the best of many noisy values is the luckiest, and would stand in the way.
        # Those under way count as if they had come out as expected, so that no second one is begun beside them.
        standing = [trial for trial in trials if trial.state in ("complete", "waiting", "running")]
        value, _ = model([trial.parameters for trial in standing])
        own_axis = np.array([self._axis(trial.compute) for trial in standing])
        lowest = min(value for _, fidelity, value in told if fidelity == 1)
        dearest = float(max(axis.max(), own_axis.max()))
        mean, deviation = model([point.parameters for point in points])
        return expected_gain(mean, deviation, axis, staircase(own_axis, value), (dearest, lowest))

    def _values(self, trial: Known) -> Iterator[tuple[float, float]]:
        """Fidelity and value of all that a trial has said of the measure."""
        for report in trial.reports.values():
            if report.fidelity < 1 and self._measure in report.metrics:
                yield report.fidelity, self._sign * report.metrics[self._measure]
        if trial.state == "complete":
            yield 1.0, self._sign * trial.metrics[self._measure]

    def _axis(self, plan: Mapping[str, float]) -> float:
        """Where a trial stands on the axis of planned compute: half of it counts the same wherever one begins."""
        return float(np.log(max(plan[self._price], 1e-300))) if self._price else 0.0


def expected_gain(mean: Vector, deviation: Vector, axis: Vector, front: Matrix, worst: tuple[float, float]) -> Vector:
    """By how much each candidate (N) is expected to enlarge the hypervolume; its value is normal, its axis is known.

    `front` (F, 2) is a `staircase`, `worst` the axis and value of the point of reference. From a candidate on along the
    axis, between two points of the front, the best value so far is constant: the candidate adds a strip of that width,
    as high as its improvement on that value.
    """
    dearest, lowest = worst
    edges = np.array([-np.inf, *front[:, 0], max(dearest, *front[:, 0]) + 1e-9 if len(front) else dearest])
    best = np.array([lowest, *front[:, 1]])
    widths = np.diff(np.maximum(edges, axis[:, None]), axis=1)
    return np.asarray((widths * _expected_improvement(mean[:, None], deviation[:, None], best)).sum(axis=1))


def staircase(axis: Sequence[float] | Vector, value: Sequence[float] | Vector) -> Matrix:
    """The points (F, 2) of these that no other beats, in rising order of both."""
    kept: list[tuple[float, float]] = []
    for place, height in sorted(zip(axis, value, strict=True), key=lambda point: (point[0], -point[1])):
        if not kept or height > kept[-1][1]:
            kept.append((float(place), float(height)))
    return np.array(kept).reshape(-1, 2)


def _expected_improvement(mean: Vector, deviation: Vector, best: Vector) -> Matrix:
    """Of a normal value on `best` (Jones et al. 1998, eq. 15)."""
    spread = np.maximum(deviation, 1e-12)
    z = (mean - best) / spread
    return np.asarray((mean - best) * norm.cdf(z) + spread * norm.pdf(z))


def _key(trial: Known | Point) -> str:
    return json.dumps(trial.parameters, sort_keys=True)
