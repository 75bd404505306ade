"""The Arrow tables of a sweep, from its ledger alone.

``trials`` has a row for each trial, ``reports`` for each rung that one reached, ``front`` for each point of the front
and each one that fresh seeds say something of, ``progress`` for each trial that ended. Columns are named as in MLflow's
data frames: ``params.memory.size``, ``metrics.transfer/knn_top1``. What is no number in every trial is text, and lists
are JSON. Each table carries what is said of the sweep itself (`sweeps.export.about`) in its metadata.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import pyarrow as pa

from sweeps.confirmation import plan
from sweeps.confirmation.membership import Aims
from sweeps.confirmation.report import Confirmation, confirmed
from sweeps.export.about import About, about
from sweeps.export.shareable import shareable, shareable_values
from sweeps.front import front, knee
from sweeps.hypervolume import progress
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.tables import flat
from trainables.metrics import COST_S, collapsed

PARAMS = "params."
METRICS = "metrics."
CONFIRMED = "confirmed."
NAMES = ("trials", "reports", "front", "progress")

_ABOUT = b"contrastive-sweeps"
_TIME = pa.timestamp("us", tz="UTC")

Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class SweepTables:
    """One sweep."""

    about: About
    trials: pa.Table
    reports: pa.Table
    front: pa.Table
    progress: pa.Table

    @classmethod
    def of(cls, ledger: Ledger, history: History, results: Results) -> Self:
        """As the ledger has it, whose fold is `history`, and as fresh seeds in the same storage have it."""
        confirmation = confirmed(ledger, results)
        said = about(ledger, history, results, confirmation)
        metadata = {_ABOUT: said.model_dump_json()}
        aims, trials = plan.aims_of(ledger.spec), list(history.trials.values())
        points = front(trials, aims.goals, aims.constraints)
        made = {
            "trials": _trials(trials, {point.number for point in points}),
            "reports": _reports(trials),
            "front": _front(said, history.trials, points, confirmation),
            "progress": _progress(history, aims),
        }
        return cls(said, **{name: pa.table(made[name]).replace_schema_metadata(metadata) for name in NAMES})

    @classmethod
    def by(cls, tables: Mapping[str, pa.Table]) -> Self:
        """From tables that were stored. Raises KeyError or pydantic's ValidationError for others."""
        said = About.model_validate_json(tables["trials"].schema.metadata[_ABOUT])
        return cls(said, **{name: tables[name] for name in NAMES})

    def named(self) -> dict[str, pa.Table]:
        """By name."""
        return {name: getattr(self, name) for name in NAMES}


def reproduce_command(sweep: str, trial: int, storage_flag: str) -> str:
    """What trains a trial again and says whether it came out the same."""
    return f"python -m sweeps reproduce {sweep}:{trial}{storage_flag}"


def _trials(trials: Sequence[TrialRecord], on_front: set[int]) -> Columns:
    def texts(values: Iterable[str | None]) -> pa.Array:
        return pa.array(list(values), pa.string())

    def numbers(values: Iterable[float]) -> pa.Array:
        return pa.array(list(values), pa.float64())

    def times(values: Iterable[datetime | None]) -> pa.Array:
        return pa.array(list(values), _TIME)

    costs = [trial.compute.get(COST_S, 0.0) for trial in trials]
    return {
        "trial": _whole(trial.number for trial in trials),
        "state": texts(trial.state for trial in trials),
        "on_front": pa.array([trial.number in on_front for trial in trials], pa.bool_()),
        "fidelity": numbers(trial.fidelity for trial in trials),
        "step": _whole(trial.step for trial in trials),
        "attempts": _whole(len(trial.attempts) for trial in trials),
        "planned": times(trial.planned for trial in trials),
        "started": times(trial.attempts[0].started if trial.attempts else None for trial in trials),
        "ended": times(trial.ended for trial in trials),
        "trained_cost_s": numbers(cost * trial.fidelity for cost, trial in zip(costs, trials, strict=True)),
        "begun_cost_s": numbers(cost * trial.begun for cost, trial in zip(costs, trials, strict=True)),
        "failure": texts(trial.failure for trial in trials),
        "message": texts(trial.message and shareable(trial.message) for trial in trials),
        "collapsed": texts(", ".join(collapsed(trial.metrics)) or None for trial in trials),
        "config_digest": texts(trial.config_digest for trial in trials),
        "weights_digest": texts(trial.weights_digest for trial in trials),
        "config": texts(json.dumps(shareable_values(trial.config)) for trial in trials),
        **_spread(PARAMS, [flat(trial.config) for trial in trials]),
        **_spread(METRICS, [trial.metrics for trial in trials]),
    }


def _reports(trials: Sequence[TrialRecord]) -> Columns:
    rows = [(trial, report) for trial in trials for _, report in sorted(trial.reports.items())]
    return {
        "trial": _whole(trial.number for trial, _ in rows),
        "attempt": _whole(report.attempt for _, report in rows),
        "rung": _whole(report.rung for _, report in rows),
        "step": _whole(report.step for _, report in rows),
        "fidelity": pa.array([report.fidelity for _, report in rows], pa.float64()),
        "verdict": pa.array([report.verdict for _, report in rows], pa.string()),
        **_spread(METRICS, [report.metrics for _, report in rows]),
    }


def _front(
    said: About,
    swept: Mapping[int, TrialRecord],
    points: Sequence[TrialRecord],
    confirmation: Confirmation | None,
) -> Columns:
    """With the sweep's own values; what fresh seeds say stands beside them."""
    confirmed = {point.trial.number: point for point in confirmation.points} if confirmation else {}
    standing = [point.number for point in points]
    trials = {number: swept[number] for number in dict.fromkeys([*standing, *confirmed])}
    best = knee(confirmation.front() if confirmation else points, said.goals).number if points else None
    seeds = [confirmed.get(number) for number in trials]
    said_of: list[dict[str, float]] = [{} if each is None else _intervals(each.intervals, each.trial) for each in seeds]
    return {
        "trial": _whole(trials),
        "on_front": pa.array([trial in standing for trial in trials], pa.bool_()),
        "knee": pa.array([trial == best for trial in trials], pa.bool_()),
        "fresh_seeds": pa.array([each and each.seeds for each in seeds], pa.int64()),
        "front_probability": pa.array([each and each.chance for each in seeds], pa.float64()),
        "reproduce": pa.array(
            [reproduce_command(said.sweep, trial, said.storage_flag) for trial in trials], pa.string()
        ),
        **_spread(CONFIRMED, said_of),
        **_spread(METRICS, [trial.metrics for trial in trials.values()]),
        **_spread(PARAMS, [_varying(trial, said.varying) for trial in trials.values()]),
    }


def _intervals(intervals: Mapping[str, tuple[float, float]], trial: TrialRecord) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, (low, high) in intervals.items():
        found |= {name: trial.metrics[name], f"{name}.low": low, f"{name}.high": high}
    return found


def _varying(trial: TrialRecord, paths: Sequence[str]) -> dict[str, Any]:
    leaves = flat(trial.config)
    return {path: leaves[path] for path in paths if path in leaves}


def _progress(history: History, aims: Aims) -> Columns:
    steps = list(progress(history, aims))
    return {
        "ended": _whole(step.ended for step in steps),
        "at": pa.array([step.at for step in steps], _TIME),
        "spent_s": pa.array([step.spent_s for step in steps], pa.float64()),
        "front": _whole(step.front for step in steps),
        "hypervolume": pa.array([step.hypervolume for step in steps], pa.float64()),
    }


def _whole(values: Iterable[int]) -> pa.Array:
    return pa.array(list(values), pa.int64())


def _spread(prefix: str, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """A column for each key of any row, in the order in which they first appear; null where a row has none."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {f"{prefix}{key}": _column([row.get(key) for row in rows]) for key in keys}


def _column(values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pa.array(values, pa.int64())
    if kinds and kinds <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([value if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    return shareable(value if isinstance(value, str) else json.dumps(value))
