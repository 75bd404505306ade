"""A sweep's tables as pages use them: data frames, the two goals that a plane shows, and what an axis is called."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from sweeps.export.about import About
from sweeps.export.tables import METRICS, PARAMS, SweepTables
from sweeps.tables import unit
from trainables.metrics import COMPUTE_PREFIX, COST_S, TEST_PREFIX

#: The three choices that contrast is paid with, where a sweep varies them: first in every list of parameters.
SWEPT_AXES = ("memory.size", "negatives.count", "objective.temperature")

_TITLES = {COST_S: "compute: modelled time on the reference device"}


@dataclass(frozen=True)
class Frames:
    """One sweep. `params` are the config paths that vary, those of `SWEPT_AXES` first."""

    about: About
    trials: pd.DataFrame
    reports: pd.DataFrame
    front: pd.DataFrame
    progress: pd.DataFrame

    @classmethod
    def of(cls, tables: SweepTables) -> Self:
        """From Arrow."""
        return cls(tables.about, **{name: table.to_pandas() for name, table in tables.named().items()})

    @property
    def across(self) -> str | None:
        """The first goal that is minimised: the horizontal axis."""
        return next((goal for goal, way in self.about.goals.items() if way == "minimize"), None)

    @property
    def up(self) -> str:
        """The first goal that is maximised, or else the first that is not across: the vertical axis."""
        goals = self.about.goals
        rest = [goal for goal in goals if goal != self.across] or list(goals)
        return next((goal for goal in rest if goals[goal] == "maximize"), rest[0])

    @property
    def params(self) -> list[str]:
        """What varies, and can be told apart."""
        return [path for path in swept_first(self.about.varying) if PARAMS + path in self.trials]

    def metric(self, frame: pd.DataFrame, name: str) -> Any:
        """A metric's values in a frame of this sweep; NaN throughout where it has none."""
        return frame.get(METRICS + name, pd.Series(float("nan"), index=frame.index, dtype="float64"))

    def param(self, frame: pd.DataFrame, path: str) -> Any:
        """A parameter's values in a frame of this sweep."""
        return frame[PARAMS + path]


def swept_first(paths: Iterable[str]) -> list[str]:
    """Config paths with those of `SWEPT_AXES` before the others."""
    return sorted(paths, key=lambda path: SWEPT_AXES.index(path) if path in SWEPT_AXES else len(SWEPT_AXES))


def titled(metric: str) -> str:
    """What an axis of this metric is called: with its unit, and which split it was measured on."""
    base = metric.removeprefix(TEST_PREFIX)
    measured = "" if base.startswith(COMPUTE_PREFIX) else " (test)" if base != metric else " (validation)"
    return f"{_TITLES.get(base, base)}{measured}{f' [{unit(base)}]' if unit(base) else ''}"
