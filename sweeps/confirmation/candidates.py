"""Which trials of a sweep are worth fresh seeds: its front, and those that noise alone may have kept off it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sweeps.confirmation.membership import Aims
from sweeps.confirmation.posterior import Floats
from sweeps.front import front
from sweeps.ledger.history import TrialRecord
from sweeps.refusals import Refusal


def candidates(trials: Iterable[TrialRecord], aims: Aims) -> list[tuple[TrialRecord, bool]]:
    """The front, cheapest first, then at most as many neighbours, nearest first; and which stood on the front.

    A neighbour is another complete trial that keeps the constraints; how near it is, `distances` says, here in standard
    deviations of each goal over all complete trials. Raises `Refusal` if there is no front, or nothing about it is
    uncertain.
    """
    if aims.exact.all():
        raise Refusal(
            f"fresh seeds confirm what is measured, and {', '.join(aims.metrics)} are planned: they are exact"
        )
    complete = [trial for trial in trials if trial.state == "complete" and _counts(_row(trial, aims), aims)]
    points = front(complete, aims.goals, {})
    if not points:
        raise Refusal("a confirmation needs a front, and this one is empty: no trial has completed. Run more trials")
    standing = {trial.number for trial in points}
    others = [trial for trial in complete if trial.number not in standing]
    values = np.array([_row(trial, aims) for trial in (*points, *others)])
    spread = values.std(axis=0)
    away = distances(values, len(points), aims, np.where(spread > 0, spread, 1.0))[len(points) :]
    nearest = [others[index] for index in np.argsort(away, kind="stable")[: len(points)]]
    return [*((trial, True) for trial in points), *((trial, False) for trial in nearest)]


def distances(values: Floats, front_size: int, aims: Aims, scales: Floats) -> Floats:
    """How far each of `values` (points, metrics) is from being beaten by none of the first `front_size`.

    The least that every measured goal would have to be better, in units of `scales` (metrics,); 0 on the front.
    """
    goals, exact = aims.minimised(values / scales), aims.exact[: len(aims.goals)]
    rivals = goals[:front_size]
    no_dearer = (rivals[None, :, exact] <= goals[:, None, exact]).all(axis=-1)
    behind = (goals[:, None, ~exact] - rivals[None, :, ~exact]).min(axis=-1, initial=np.inf)
    return np.asarray(np.where(no_dearer, behind, 0.0).max(axis=1, initial=0.0))


def _counts(values: Floats, aims: Aims) -> bool:
    return bool(np.isfinite(values).all() and aims.kept(values))


def _row(trial: TrialRecord, aims: Aims) -> Floats:
    return row(trial.metrics, aims.metrics)


def row(metrics: Mapping[str, float], names: Sequence[str]) -> Floats:
    """The values of these metrics, NaN for what is missing."""
    return np.array([metrics.get(name, np.nan) for name in names])
