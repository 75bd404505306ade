"""What a confirmation says, from its ledger: for people, for programs, and for `best`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeps.confirmation import plan
from sweeps.confirmation.candidates import row
from sweeps.confirmation.membership import Aims, hypervolumes, on_front, worst
from sweeps.confirmation.posterior import Floats, draw_means
from sweeps.front import Goals
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.tables import quantity, trials_table, varying
from trainables.metrics import PLANNED_METRICS

_DRAWS = 4000
_CENTRAL = (0.025, 0.975)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A point with its fresh seeds.

    `trial` is the sweep's trial, but that its metrics are confirmed ones: goals and constrained metrics as expected by
    the posterior, others averaged over the fresh seeds, planned compute as it was. `intervals` hold the means with 95 %
    probability, and `chance` is that of standing on the true front (`sweeps.confirmation.membership`).
    """

    trial: TrialRecord
    swept: dict[str, float]
    was_on_front: bool
    seeds: int
    failed: int
    intervals: dict[str, Interval]
    chance: float

    @property
    def stands(self) -> bool:
        """Whether it is rather on the true front than off it."""
        return self.chance >= 0.5

    def __str__(self) -> str:
        """In a line."""
        values = [f"{name} {quantity(name, a)} to {quantity(name, b)}" for name, (a, b) in self.intervals.items()]
        chance = f"on the true front with probability {self.chance:.2f}"
        return f"confirmed by {self.seeds} fresh seeds: {', '.join([chance, *values])} (95 %)"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "seeds": self.seeds,
            "failed_seeds": self.failed,
            "front_probability": self.chance,
            "intervals_95": self.intervals,
            "metrics": self.trial.metrics,
            "swept": self.swept,
            "was_on_front": self.was_on_front,
        }


@dataclass(frozen=True)
class Confirmation:
    """Every point that has a fresh seed, cheapest first; the hypervolume up to `reference`, with 95 % probability."""

    sweep: str
    name: str
    goals: Goals
    points: list[Point]
    hypervolume: Interval
    reference: dict[str, float]
    trials: int
    most_trials: int

    def front(self) -> list[TrialRecord]:
        """The points that are rather on the true front than off it, or the likeliest one, with confirmed metrics."""
        return [point.trial for point in self.points if point.stands] or [
            max(self.points, key=lambda point: point.chance).trial
        ]

    def of(self, trial: int) -> Point | None:
        """What was confirmed of a trial of the sweep."""
        return next((point for point in self.points if point.trial.number == trial), None)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "sweep": self.sweep,
            "confirmation": self.name,
            "trials": self.trials,
            "hypervolume_95": self.hypervolume,
            "hypervolume_reference": self.reference,
            "points": [{"trial": point.trial.number, **point.to_json()} for point in self.points],
        }


def confirmed(sweep: Ledger, results: Results) -> Confirmation | None:
    """What the confirmation of a sweep says so far; None if there is none, or too little of it to tell noise."""
    found = plan.find(sweep, results)
    if found is None:
        return None
    with found as ledger:
        return summary(ledger, History.of(sweep.events()).trials)


def summary(confirmation: Ledger, swept: Mapping[int, TrialRecord]) -> Confirmation | None:
    """What the ledger of a confirmation says of these trials of its sweep; None if it is too little to tell noise."""
    spec, history = confirmation.spec, History.of(confirmation.events())
    seeds = [_Seeds(swept[point["trial"]], point["on_front"]) for point in spec[plan.CONFIRMS]["points"]]
    for trial in history.trials.values():
        seeds[trial.parameters["point"]].take(trial)
    seeds = [each for each in seeds if each.complete]
    if max((len(each.complete) for each in seeds), default=0) < 2:
        return None
    aims = plan.aims_of(spec)
    draws = draw_means([each.values(aims) for each in seeds], aims.exact, _DRAWS)
    reference = worst(draws.mean(axis=0), aims)
    low, high = np.quantile(hypervolumes(draws, aims, reference), _CENTRAL)
    cheap = next((goal for goal, way in aims.goals.items() if way == "minimize"), next(iter(aims.goals)))
    return Confirmation(
        sweep=spec[plan.CONFIRMS]["sweep"],
        name=confirmation.sweep,
        goals=aims.goals,
        points=sorted(_points(seeds, draws, aims), key=lambda point: (point.trial.metrics[cheap], point.trial.number)),
        hypervolume=(float(low), float(high)),
        reference=dict(zip(aims.goals, reference.tolist(), strict=True)),
        trials=len(history.trials),
        most_trials=spec["file"]["budget"]["trials"],
    )


@dataclass
class _Seeds:
    """A trial of the sweep and what became of its fresh seeds."""

    swept: TrialRecord
    was_on_front: bool
    complete: list[TrialRecord] = field(default_factory=list)
    failed: int = 0

    def take(self, trial: TrialRecord) -> None:
        if trial.state == "complete":
            self.complete.append(trial)
        self.failed += trial.state == "failed"

    def values(self, aims: Aims) -> Floats:
        return np.array([row(trial.metrics, aims.metrics) for trial in self.complete])

    def averages(self) -> dict[str, float]:
        names = set.intersection(*(set(trial.metrics) for trial in self.complete))
        return {name: float(np.mean([trial.metrics[name] for trial in self.complete])) for name in sorted(names)}


def _points(seeds: Sequence[_Seeds], draws: Floats, aims: Aims) -> list[Point]:
    chances, means = on_front(draws, aims).mean(axis=0), draws.mean(axis=0)
    low, high = np.quantile(draws, _CENTRAL, axis=0)
    points = []
    for place, each in enumerate(seeds):
        expected = dict(zip(aims.metrics, means[place].tolist(), strict=True))
        bounds = zip(aims.metrics, low[place].tolist(), high[place].tolist(), strict=True)
        points.append(
            Point(
                trial=replace(each.swept, metrics={**each.averages(), **expected, **each.swept.compute}),
                swept={goal: each.swept.metrics[goal] for goal in aims.goals},
                was_on_front=each.was_on_front,
                seeds=len(each.complete),
                failed=each.failed,
                intervals={name: (least, most) for name, least, most in bounds if name not in PLANNED_METRICS},
                chance=float(chances[place]),
            )
        )
    return points


def shown(confirmation: Confirmation, swept: History) -> RenderableType:
    """For people: each point's chance of standing on the true front, confirmed values and what varies in the sweep."""
    return Group(_table(confirmation, varying(swept.trials.values())), Text(_verdict(confirmation)))


def _table(confirmation: Confirmation, varying: Sequence[str]) -> Table:
    points = confirmation.points
    own = {
        "P(front)": [f"{point.chance:.2f}" for point in points],
        "in the\nsweep": ["front" if point.was_on_front else "near" for point in points],
        "seeds": [f"{point.seeds} + {point.failed} failed" if point.failed else str(point.seeds) for point in points],
    }
    for name in points[0].intervals:
        own[f"{name} swept"] = [quantity(name, point.swept[name]) if name in point.swept else "-" for point in points]
        own[f"{name} 95 %"] = [
            f"{quantity(name, low)} to {quantity(name, high)}"
            for low, high in (point.intervals[name] for point in points)
        ]
    title = f"{confirmation.sweep} with fresh seeds, {confirmation.trials} of at most {confirmation.most_trials} trials"
    return trials_table(title, [point.trial for point in points], confirmation.goals, varying, own)


def _verdict(confirmation: Confirmation) -> str:
    stood = [point for point in confirmation.points if point.was_on_front]
    low, high = confirmation.hypervolume
    reference = ", ".join(f"{goal} {quantity(goal, value)}" for goal, value in confirmation.reference.items())
    return (
        f"{sum(point.stands for point in stood)} of {len(stood)} points of the front hold, "
        f"{sum(point.stands for point in confirmation.points) - sum(point.stands for point in stood)} neighbours join; "
        f"hypervolume {low:.4g} to {high:.4g} (95 %, up to {reference})"
    )
