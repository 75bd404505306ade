"""What a sweep exports while it runs: gauges of Ray, which each node's metrics agent offers to Prometheus.

Prometheus sees them as ``ray_sweeps_...``, each with the label `sweep`; `dashboards/grafana/sweep.json` draws them.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ray.util.metrics import Gauge

from search_spaces.sweep_file import SweepFile
from sweeps.confirmation.membership import Aims
from sweeps.driver import utc_now
from sweeps.front import front
from sweeps.hypervolume import hypervolume
from sweeps.ledger.history import History
from sweeps.spending import begun, in_force, used
from trainables.metrics import FLOPS

#: By name: what it says, and the label beside `sweep` by which there are several.
GAUGES = {
    "sweeps_trials": ("Trials by state", "state"),
    "sweeps_front_points": ("Complete trials that no other beats", None),
    "sweeps_hypervolume": ("What the front dominates, in the units of the goals (sweeps.hypervolume)", None),
    "sweeps_trials_per_hour": ("Trials that ended in the last hour of this session, by the hour", None),
    "sweeps_slot_idle_share": ("Share of the slots that are at no trial", None),
    "sweeps_train_flops": ("Planned FLOPs of all that has begun, repeated attempts too", None),
    "sweeps_budget": ("What the sweep may use of each cap, in the cap's unit", "cap"),
    "sweeps_budget_left": ("What is left of each cap, in the cap's unit", "cap"),
}

_EVERY_S = 5.0
_HOUR = timedelta(hours=1)


class Gauges:
    """The gauges of one sweep, set from its history whenever `tell` is called, though not more often than need be."""

    def __init__(self, sweep: str, history: History, file: SweepFile, slots: int) -> None:
        self._sweep, self._history, self._file, self._slots = sweep, history, file, slots
        self._told = -float("inf")
        self._gauges = {
            name: Gauge(name, said, tag_keys=("sweep", *([label] if label else [])))
            for name, (said, label) in GAUGES.items()
        }

    def tell(self, now: Callable[[], datetime] = utc_now) -> None:
        """Set them, if that was not done just before."""
        if time.monotonic() - self._told >= _EVERY_S:
            for name, label, value in readings(self._history, self._file, self._slots, now()):
                own = GAUGES[name][1]
                self._gauges[name].set(value, {"sweep": self._sweep, **({own: label} if own else {})})
            self._told = time.monotonic()


def readings(history: History, file: SweepFile, slots: int, now: datetime) -> Iterator[tuple[str, str, float]]:
    """Name, value of the gauge's own label ("" if it has none), and value."""
    counts = history.counts()
    for state, count in counts.items():
        yield "sweeps_trials", state, count
    points = front(history.trials.values(), file.goals, file.constraints)
    yield "sweeps_front_points", "", len(points)
    yield "sweeps_hypervolume", "", hypervolume(points, history, Aims(file.goals, file.constraints))
    yield "sweeps_trials_per_hour", "", _per_hour(history, now)
    yield "sweeps_slot_idle_share", "", max(0.0, 1 - counts["running"] / slots)
    yield "sweeps_train_flops", "", begun(history, FLOPS)
    budget = in_force(file.budget, history)
    spent = used(budget, history, now)
    for cap, limit in budget.caps().items():
        yield "sweeps_budget", cap, limit
        yield "sweeps_budget_left", cap, limit - spent[cap]


def _per_hour(history: History, now: datetime) -> float:
    opened = history.sessions[-1].opened_at if history.sessions else now
    since = max(opened, now - _HOUR)
    count = 0
    for trial in reversed(history.ended):
        if trial.ended is None or trial.ended < since:
            break
        count += 1
    hours = (now - since) / _HOUR
    return count / hours if hours > 0 else 0.0
