"""What compute has bought so far: the front's hypervolume after each trial that ended. Pure arithmetic.

It is measured up to one point for the whole sweep, the worst of each goal among its first complete trials, so that a
value that was told once stays true: later trials beyond that point add nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import moocore
import numpy as np

from sweeps.confirmation.membership import Aims, worst
from sweeps.confirmation.posterior import Floats
from sweeps.front import eligible
from sweeps.ledger.history import History, TrialRecord
from trainables.metrics import COST_S

#: So many complete trials say where hypervolumes are measured from.
FIRST_TRIALS = 10


@dataclass(frozen=True)
class Progress:
    """The sweep after `ended` of its trials had ended, at a cost of `spent_s` modelled seconds for these.

    `hypervolume` is in the product of the goals' units.
    """

    ended: int
    at: datetime
    spent_s: float
    front: int
    hypervolume: float


def reference_point(history: History, aims: Aims) -> dict[str, float] | None:
    """Where hypervolumes are measured from, by goal: the worst of each among the first ten complete trials.

    Of a sweep that was let go of earlier: among those that it had by then. None while too few are complete.
    """
    complete = eligible(history.ended, aims.goals, aims.constraints)
    let_go = next((session.closed_at for session in history.sessions if session.closed_at), None)
    early = [trial for trial in complete if let_go and trial.ended and trial.ended <= let_go]
    first = early if early and len(early) < FIRST_TRIALS else complete[:FIRST_TRIALS]
    if not first or (first is not early and len(first) < FIRST_TRIALS):
        return None
    return dict(zip(aims.goals, worst(_values(first, aims), aims).tolist(), strict=True))


def progress(history: History, aims: Aims) -> Iterator[Progress]:
    """After each trial that ended, in that order; nothing while there is no `reference_point`."""
    reference = reference_point(history, aims)
    if reference is None:
        return
    limits = aims.minimised(np.array(list(reference.values())))
    may_stand = {trial.number for trial in eligible(history.ended, aims.goals, aims.constraints)}
    standing, volume, spent_s = np.empty((0, len(aims.goals))), 0.0, 0.0
    for place, trial in enumerate(history.ended):
        spent_s += trial.compute.get(COST_S, 0.0) * trial.fidelity
        if trial.number in may_stand:
            point = aims.minimised(_values([trial], aims))
            if not _beaten(point[0], standing):
                standing = np.concatenate([standing, point])
                standing = standing[moocore.is_nondominated(standing, keep_weakly=True)]
                volume = float(moocore.hypervolume(standing, ref=limits))
        assert trial.ended is not None
        yield Progress(place + 1, trial.ended, spent_s, len(standing), volume)


def hypervolume(front: list[TrialRecord], history: History, aims: Aims) -> float:
    """What a front dominates now; 0 while there is no `reference_point`."""
    reference = reference_point(history, aims)
    if reference is None or not front:
        return 0.0
    limits = aims.minimised(np.array(list(reference.values())))
    return float(moocore.hypervolume(aims.minimised(_values(front, aims)), ref=limits))


def _values(trials: list[TrialRecord], aims: Aims) -> Floats:
    return np.array([[trial.metrics[name] for name in aims.metrics] for trial in trials])


def _beaten(point: Floats, standing: Floats) -> bool:
    """Whether one of `standing` (points, goals) is nowhere worse than `point` (goals,) and somewhere better."""
    return bool(((standing <= point).all(axis=1) & (standing < point).any(axis=1)).any())
