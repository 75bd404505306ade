"""What a trial looks like as an MLflow run: params, points of metrics and tags, as plain values.

Functions of the ledger alone, so that mirroring a trial again writes the same things again.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sweeps.events import Ended, Event, Planned, Reported, TrialState
from sweeps.export.shareable import shareable
from sweeps.ledger.history import Session, TrialRecord
from trainables.metrics import collapsed

PARAM_LIMIT = 6000  # characters that MLflow takes for a param and for a tag
TAG_LIMIT = 8000

RUN_STATUS: dict[TrialState, str] = {
    "waiting": "SCHEDULED",
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}


@dataclass(frozen=True)
class Point:
    """One value of a metric. Logged twice with the same fields, it is there once."""

    name: str
    value: float
    at_ms: int
    step: int


def milliseconds(at: datetime) -> int:
    """Milliseconds since the epoch: MLflow's clock."""
    return int(at.timestamp() * 1000)


def clipped(value: str, limit: int) -> str:
    """`value`, or its beginning and its SHA-256 when it has more than `limit` characters."""
    if len(value) <= limit:
        return value
    mark = f"... sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    return value[: limit - len(mark)] + mark


def params(config: Mapping[str, Any], parameters: Iterable[str] = ()) -> dict[str, str]:
    """A config as dotted names and JSON values (strings as they are): ``memory.size`` -> ``512``.

    Those come first that the sampler picked by these `parameters`.
    """
    leaves = sorted(_leaves(config, ""), key=lambda leaf: not picked(leaf[0], parameters))
    return {name: clipped(shareable(_text(value)), PARAM_LIMIT) for name, value in leaves}


def picked(path: str, parameters: Iterable[str]) -> bool:
    """Whether what stands at a path of a config, or a part that it belongs to, was picked by one of these parameters.

    A parameter may have the names of options on its way (`search_spaces.space`): ``memory.bank.size`` is the leaf
    ``memory.size``; that of a bounded range ends in ``fraction``.
    """
    parts = path.split(".")
    for name in parameters:
        chosen = name.removesuffix(".fraction").split(".")
        if chosen == parts[: len(chosen)] or (chosen[0] == parts[0] and chosen[-1] == parts[-1]):
            return True
    return False


def points(trial: TrialRecord, events: Iterable[tuple[datetime, Event]]) -> list[Point]:
    """The metrics that these events of a trial say: planned compute at step 0, then those of rungs and of its end.

    Planned compute stays what was planned, so that a truncated trial does not look cheap. A value that a rung has
    already given for the last step is not given again. Non-finite values are left out (`tags` names them): MLflow
    would turn infinity into a number.
    """
    return [
        Point(name, value, milliseconds(at), step)
        for at, event in events
        for step, name, value in _values(trial, event)
        if math.isfinite(value)
    ]


def tags(trial: TrialRecord, session: Session | None, on_front: bool) -> dict[str, str]:
    """What describes a trial besides its numbers, and which workers trained each of its attempts."""
    text = {
        "trial": str(trial.number),
        "state": trial.state,
        "attempt": str(trial.attempts[-1].number if trial.attempts else 0),
        "fidelity": f"{trial.fidelity:g}",
        "config_digest": trial.config_digest,
        "on_front": "true" if on_front else "false",
        **digests(session),
    }
    if trial.failure or trial.message:
        text["failure"] = shareable(": ".join(filter(None, [trial.failure, trial.message])))
    if sets := collapsed(trial.metrics):
        text["collapsed"] = ", ".join(sets)
    if trial.reports:
        text["checkpoint"] = f"trials/{trial.number}/{trial.config_digest}"  # in the sweep's folder
    if trial.weights_digest:
        text["weights_digest"] = trial.weights_digest
    if wild := _non_finite(trial):
        text["non_finite"] = ", ".join(wild)
    for attempt in trial.attempts:
        text[f"attempt.{attempt.number}.slot"] = str(attempt.slot)
        text[f"attempt.{attempt.number}.workers"] = json.dumps([worker.model_dump() for worker in attempt.workers])
    return {name: clipped(value, TAG_LIMIT) for name, value in text.items()}


def digests(session: Session | None) -> dict[str, str]:
    """The code and the data that a session runs on."""
    if session is None:
        return {}
    return {"data_digest": session.opened.data_digest, "code_digest": session.opened.code_digest}


def _leaves(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, child in value.items():
        if isinstance(child, Mapping) and child:
            yield from _leaves(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _values(trial: TrialRecord, event: Event) -> list[tuple[int, str, float]]:
    """(step, name, value) of the metrics of one event."""
    match event:
        case Planned():
            return [(0, name, value) for name, value in event.compute.items()]
        case Reported() | Ended():
            said = _at_rungs(trial, event.step) if isinstance(event, Ended) else {}
            return [
                (event.step, name, value)
                for name, value in event.metrics.items()
                if name not in trial.compute and said.get(name) != value
            ]
        case _:
            return []


def _at_rungs(trial: TrialRecord, step: int) -> dict[str, float]:
    reports = [report.metrics for report in trial.reports.values() if report.step == step]
    return {name: value for metrics in reports for name, value in metrics.items()}


def _non_finite(trial: TrialRecord) -> list[str]:
    said = [trial.metrics, *(report.metrics for report in trial.reports.values())]
    return sorted({name for metrics in said for name, value in metrics.items() if not math.isfinite(value)})
