"""Who stands on the true front, how large it is, and where one more seed tells most. Pure arithmetic.

The **true front** of some points are those that no other of them beats in expected goals: the mean over the seeds of
training, with data, splits and everything else as it is. It says nothing of trials that are not among these points.
"""

from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from sweeps.confirmation.posterior import Floats
from sweeps.constraints import Constraints
from sweeps.front import Goals
from trainables.metrics import PLANNED_METRICS

_BINS = 20


@dataclass(frozen=True)
class Aims:
    """Goals and constraints of a sweep over arrays whose last axis is `metrics`, the goals first."""

    goals: Goals
    constraints: Constraints

    @property
    def metrics(self) -> tuple[str, ...]:
        """Everything that decides who stands on the front."""
        return tuple(dict.fromkeys([*self.goals, *self.constraints]))

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which metrics are planned, and so the same for every seed."""
        return np.array([name in PLANNED_METRICS for name in self.metrics])

    def minimised(self, values: Floats) -> Floats:
        """The goals alone, with signs by which less is better."""
        signs = np.array([1.0 if way == "minimize" else -1.0 for way in self.goals.values()])
        return np.asarray(values[..., : len(self.goals)] * signs)

    def kept(self, values: Floats) -> NDArray[np.bool_]:
        """Which points keep every constraint."""
        kept = np.ones(values.shape[:-1], dtype=bool)
        for name, bound in self.constraints.items():
            column, (low, high) = values[..., self.metrics.index(name)], bound.ends
            kept &= (column >= low) & (column <= high)
        return kept


def on_front(draws: Floats, aims: Aims) -> NDArray[np.bool_]:
    """Which points (draws, points) stand on the front if a draw (draws, points, metrics) is the truth."""
    goals = np.where(aims.kept(draws)[..., None], aims.minimised(draws), np.inf)
    standing = [moocore.is_nondominated(each, keep_weakly=True) for each in goals]
    return np.array(standing, dtype=bool) & aims.kept(draws)


def hypervolumes(draws: Floats, aims: Aims, reference: Floats) -> Floats:
    """The hypervolume (draws,) between the front of each draw and `reference` (goals,), in the goals' own units."""
    limits = aims.minimised(reference)
    return np.array(
        [
            moocore.hypervolume(aims.minimised(each[kept]), ref=limits) if kept.any() else 0.0
            for each, kept in zip(draws, aims.kept(draws), strict=True)
        ]
    )


def worst(means: Floats, aims: Aims) -> Floats:
    """The worst value (goals,) of each goal among `means` (points, metrics): where hypervolumes are measured from."""
    furthest: Floats = aims.minimised(means).max(axis=0)
    return aims.minimised(furthest)


def worth_of_a_seed(
    draws: Floats, standing: NDArray[np.bool_], aims: Aims, done: NDArray[np.int_], asked: NDArray[np.int_]
) -> Floats:
    """How much one more seed of each point (points,) should reduce the variance of who stands on the front, summed.

    The part of that variance which a point's own mean explains (its first-order sensitivity index, Saltelli et al.
    2010, from `_BINS` classes of equal size), times the part of the mean's variance that one more seed takes away when
    `done` seeds are known and `asked` will be.
    """
    worth = np.zeros(draws.shape[1])
    for metric in np.flatnonzero(~aims.exact):
        for point in range(draws.shape[1]):
            classes = np.array_split(standing[np.argsort(draws[:, point, metric])], _BINS)
            explained = np.var([each.mean(axis=0) for each in classes], axis=0).sum()
            worth[point] = max(worth[point], explained)
    return worth * done / (asked * (asked + 1))
