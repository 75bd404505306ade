"""Search that knows what a trial will cost before it is trained, and improves the front where that is cheapest.

Other searches learn the cost from trials, as if it were measured. Here it is planned (`trainables.compute`), so that a
model is needed of one goal only, and the expected improvement of the hypervolume (Emmerich et al. 2006) is a sum of
ordinary expected improvements, one for each step of the front. What is maximised is that improvement, times the
probability that measured constraints are kept (Gardner et al. 2014), for each unit of cost (cost-aware Bayesian
optimisation, Lee et al. 2020). The model of a measure (`sweeps.search.surrogate`) takes conditional spaces as they are,
and the last that a stopped trial has said as a measurement at a fidelity.
"""

import functools
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from search_spaces.policies import CostAware
from search_spaces.space import Point, Space
from sweeps.constraints import Constraints, kept
from sweeps.events import Reported
from sweeps.search.protocol import MayTrain, Record
from sweeps.search.samplers import trial_seed
from sweeps.search.surrogate import Encoding, Surrogate
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.metrics import COST_S, PLANNED_METRICS

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

#: How far beyond the dearest trial the point of reference lies, in logarithms: the dear end of the front counts, too.
_BEYOND = float(np.log(2))

#: Draws for each candidate that is looked for, where constraints on planned compute let few be trained.
_DRAWS = 20

#: Trials that choose among the same candidates: to draw and to plan these takes longer than to choose one.
_SHARED_BY = 10


class Known(Record, Protocol):
    """What is looked at of a trial: `sweeps.ledger.history.TrialRecord` is one."""

    config_digest: str
    compute: dict[str, float]
    reports: dict[int, Reported]


@dataclass(frozen=True)
class _Candidate:
    point: Point
    digest: str
    plan: dict[str, float]


class CostAwareChoice:
    """Chooses trials of a space by what they may add to the front for their cost, for `sweeps.search.points`.

    The goals are one measure and, as a rule, one metric of planned compute, which is minimised. `may_train` says
    whether a config keeps the constraints that are known before. `known` are the trials of the ledger by number, kept
    up to date by whoever writes it.
    """

    def __init__(
        self,
        space: Space,
        goals: Mapping[str, str],
        config: CostAware,
        constraints: Constraints = MappingProxyType({}),
        may_train: MayTrain | None = None,
        known: Mapping[int, Known] = MappingProxyType({}),
    ) -> None:
        self._space, self._config, self._may_train, self._known = space, config, may_train, known
        self._constraints = {metric: bound for metric, bound in constraints.items() if metric not in PLANNED_METRICS}
        (self._measure,) = (goal for goal in goals if goal not in PLANNED_METRICS)
        self._price = next((goal for goal in goals if goal in PLANNED_METRICS), None)
        self._sign = 1.0 if goals[self._measure] == "maximize" else -1.0
        self._candidates = functools.lru_cache(maxsize=1)(self._drawn)

    def __call__(self, number: int) -> Point | None:
        """Trial `number`, after all that were planned before: the same one for the same trials.

        None if of all that were drawn none may be trained.
        """
        trials = [self._known[trial] for trial in range(number)]
        seed = trial_seed(self._config.seed, number)
        candidates = self._untried(trials)
        if not candidates:
            return None
        points = [candidate.point for candidate in candidates]
        cost = np.array([candidate.plan[COST_S] for candidate in candidates])
        if len(trials) < self._config.startup_trials or not any(trial.state == "complete" for trial in trials):
            return random.Random(seed).choices(points, weights=list(1 / cost))[0]
        axis = np.array([self._axis(candidate.plan) for candidate in candidates])
        return points[int(np.argmax(self._gain(trials, points, axis, seed) / cost))]

    def _untried(self, trials: Sequence[Known]) -> list[_Candidate]:
        """Candidates, none of which was tried: a trial repeats itself exactly. All of them if there is no other."""
        candidates = self._candidates(len(trials) // _SHARED_BY)
        tried = {trial.config_digest for trial in trials}
        return [candidate for candidate in candidates if candidate.digest not in tried] or candidates

    def _drawn(self, block: int) -> list[_Candidate]:
        """Those among which the trials of a block choose, each config once."""
        draws = itertools.islice(
            self._space.sample(trial_seed(self._config.seed, block)), _DRAWS * self._config.candidates
        )
        allowed = (point for point in draws if self._may_train is None or self._may_train(point.config))
        drawn = {}
        for point in itertools.islice(allowed, self._config.candidates):
            config = TrialConfig.model_validate(point.config)
            digest = config.digest()
            if digest not in drawn:
                drawn[digest] = _Candidate(point, digest, planned_metrics(config))
        return list(drawn.values())

    def _gain(self, trials: Sequence[Known], points: Sequence[Point], axis: Vector, seed: int) -> Vector:
        model = self._model(trials, self._measure, seed)
        lowest = min(self._sign * last[1] for trial in trials if (last := _last_word(trial, self._measure)))
        # By what the model makes of them: the best of many noisy values is the luckiest, and would stand in the way.
        # Those under way count as if they had come out as expected, so that no second one is begun beside them.
        standing = [trial for trial in trials if self._stands(trial)]
        value, _ = model([trial.parameters for trial in standing])
        own_axis = np.array([self._axis(trial.compute) for trial in standing])
        dearest = float(max([*axis, *own_axis])) + _BEYOND
        mean, deviation = model([point.parameters for point in points])
        front = staircase(own_axis, self._sign * value)
        gain = expected_gain(self._sign * mean, deviation, axis, front, (dearest, lowest))
        return gain * self._probability_kept(trials, points, seed)

    def _model(self, trials: Sequence[Known], metric: str, seed: int) -> Surrogate:
        told = [(trial.parameters, *last) for trial in trials if (last := _last_word(trial, metric))]
        parameters, fidelities, values = zip(*told, strict=True)
        encoding = Encoding(trial.distributions for trial in trials)
        return Surrogate(encoding, parameters, fidelities, values, seed)

    def _stands(self, trial: Known) -> bool:
        """Whether a trial is on the front, or may come to be there."""
        if trial.state == "complete":
            return kept(self._constraints, trial.metrics)
        return trial.state in ("waiting", "running")

    def _probability_kept(self, trials: Sequence[Known], points: Sequence[Point], seed: int) -> Vector:
        probability = np.ones(len(points))
        for metric, bound in self._constraints.items():
            mean, deviation = self._model(trials, metric, seed)([point.parameters for point in points])
            scale = np.maximum(deviation, 1e-12)
            low, high = ((end - mean) / scale for end in bound.ends)
            probability *= norm.cdf(high) - norm.cdf(low)
        return probability

    def _axis(self, plan: Mapping[str, float]) -> float:
        """Where a trial stands on the axis of planned compute: half of it counts the same wherever one begins."""
        return float(np.log(max(plan[self._price], 1e-300))) if self._price else 0.0


def expected_gain(mean: Vector, deviation: Vector, axis: Vector, front: Matrix, worst: tuple[float, float]) -> Vector:
    """By how much each candidate (N) is expected to enlarge the hypervolume; its value is normal, its axis is known.

    `front` (F, 2) is a `staircase`, `worst` the axis and value of the point of reference, which is above every axis.
    From a candidate on along the axis, between two points of the front, the best value so far is constant: the
    candidate adds a strip of that width, as high as its improvement on that value.
    """
    dearest, lowest = worst
    edges = np.array([-np.inf, *front[:, 0], dearest])
    best = np.array([lowest, *front[:, 1]])
    widths = np.diff(np.maximum(edges, axis[:, None]), axis=1)
    return np.asarray((widths * _expected_improvement(mean[:, None], deviation[:, None], best)).sum(axis=1))


def staircase(axis: Sequence[float] | Vector, value: Sequence[float] | Vector) -> Matrix:
    """The points (F, 2) of these that no other beats, in rising order of both."""
    points: list[tuple[float, float]] = []
    for place, height in sorted(zip(axis, value, strict=True), key=lambda point: (point[0], -point[1])):
        if not points or height > points[-1][1]:
            points.append((float(place), float(height)))
    return np.array(points).reshape(-1, 2)


def _expected_improvement(mean: Vector, deviation: Vector, best: Vector) -> Matrix:
    """Of a normal value on `best` (Jones et al. 1998, eq. 15)."""
    spread = np.maximum(deviation, 1e-12)
    z = (mean - best) / spread
    return np.asarray((mean - best) * norm.cdf(z) + spread * norm.pdf(z))


def _last_word(trial: Known, metric: str) -> tuple[float, float] | None:
    """Fidelity and value of the last that a trial has said of a metric.

    Only the last: a model would take what it said at the rungs before, which is nearly the same, for more trials.
    """
    if trial.state == "complete":
        return 1.0, trial.metrics[metric]
    said = [report for report in trial.reports.values() if report.fidelity < 1 and metric in report.metrics]
    last = max(said, key=lambda report: report.fidelity, default=None)
    return None if last is None else (last.fidelity, last.metrics[metric])
