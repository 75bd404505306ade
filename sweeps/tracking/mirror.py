"""MLflow, written from the ledger by one background thread of the driver; no other module imports mlflow.

The ledger is the outbox: what could not be written is tried again from there, so a dead MLflow costs a sweep nothing.
No cursor is kept beside it: each run's tag `seq` is the last event that it mirrors, written together with the last
of that trial's metrics. Deleting MLflow, or a run in it, is therefore safe, and `sync` brings it back.

Only one writer per sweep may run (the driver's, or `sync` while there is none).
"""

import json
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from search_spaces.secrets import redacted
from sweeps.constraints import Constraints
from sweeps.events import Ended, Event, Opened, Started
from sweeps.front import Goals, front
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.tracking.database import create_database
from sweeps.tracking.run_content import (
    RUN_STATUS,
    TAG_LIMIT,
    Point,
    clipped,
    digests,
    milliseconds,
    params,
    points,
    tags,
)

_LOG = logging.getLogger(__name__)

_TERMINAL = {"FINISHED", "KILLED", "FAILED"}
_SWEEP_STATUS = {None: "RUNNING", "done": "FINISHED", "stopped": "KILLED", "interrupted": "KILLED", "error": "FAILED"}
_DATASET_DIGEST_LIMIT = 36

_SHARE_OF_TIME = 0.1  # the most of its time that the writer writes
_LONGEST_WAIT_S = 10.0

# Together at most what MLflow takes in one `log_batch`: 1000 entities, of them 100 params and 100 tags.
_METRICS_PER_BATCH, _PARAMS_PER_BATCH, _TAGS_PER_BATCH = 800, 100, 100

SEQ = "seq"  # tags of ours
LEDGER = "ledger"
PARENT = "mlflow.parentRunId"  # tags of MLflow
NOTE = "mlflow.note.content"

NOTHING: Mapping[str, str] = MappingProxyType({})

T = TypeVar("T")


@dataclass(frozen=True)
class Tracking:
    """Where and under which names a sweep is mirrored.

    `description` is Markdown for the sweep's run; `artifacts` is the URI where files go when `uri` is a database (a
    server has a place of its own); `dataset` names the data, whose digest the ledger holds.
    """

    uri: str = field(repr=False)  # it may hold a password
    artifacts: str
    experiment: str
    description: str
    goals: Goals
    constraints: Constraints
    dataset: str


class MlflowWriter:
    """Mirrors a ledger into MLflow in the background until `drain`. Never raises for a fault of MLflow.

    Its thread waits for the first trial of this session, since it also imports mlflow, for seconds of CPU that slots
    need while they start. It writes every `interval_s` seconds, or less often where that takes long: training needs
    the cores more. `last_error` says what MLflow last refused; None while all is well.
    """

    def __init__(self, location: str | Path, tracking: Tracking, interval_s: float = 3.0) -> None:
        self.last_error: str | None = None
        self._tracking = tracking
        self._interval_s = interval_s
        self._ledger = Ledger.open(location)
        self._mirrored = 0
        self._stopping = False
        self._wake = threading.Event()
        self._ticked = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="mlflow-writer", daemon=True)
        self._thread.start()

    @property
    def lag(self) -> int:
        """Events of the ledger that are not known to be in MLflow."""
        return self._ledger.count(after=self._mirrored)

    def flush(self, timeout_s: float) -> bool:
        """Mirror now. True once nothing lags, False if that took longer than `timeout_s` seconds."""
        self._wake.set()
        with self._ticked:
            return self._ticked.wait_for(lambda: self.lag == 0, timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """`flush`, then end the thread. The answer is that of `flush`."""
        done = self.flush(timeout_s)
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=1)
        if not self._thread.is_alive():  # else it waits for a dead server, and ends with the process
            self._ledger.close()
        return done

    def _run(self) -> None:
        mirror: Mirror | None = None
        failures = 0
        self._wait_for_a_trial()
        while not self._stopping:
            self._wake.clear()
            began = time.perf_counter()
            try:
                mirror = mirror or Mirror(self._ledger, self._tracking)
                mirror.catch_up()
                self._mirrored, self.last_error, failures = mirror.history.last_seq, None, 0
            except Exception as error:  # whatever MLflow raises, the sweep goes on
                self._note(error)
                mirror = None  # what it thought it knew may be wrong now: it looks again
                failures += 1
            took_s = time.perf_counter() - began
            with self._ticked:
                self._ticked.notify_all()
            self._wake.wait(pause_s(took_s, self._interval_s * 2**failures))

    def _wait_for_a_trial(self) -> None:
        """Until a trial of this session has started, or `flush` wants all that there is."""
        seen, started = 0, False
        while not started and not self._wake.wait(self._interval_s if seen else 0):
            for seq, _, event in list(self._ledger.events(after=seen)):
                seen = seq
                if isinstance(event, Opened | Started):
                    started = isinstance(event, Started)

    def _note(self, error: Exception) -> None:
        text = redacted(f"{type(error).__name__}: {error}")
        if text != self.last_error:
            _LOG.warning("MLflow cannot be written (%s). The ledger keeps everything; trying again", text)
        self.last_error = text


def pause_s(took_s: float, least_s: float = 3.0) -> float:
    """How many seconds the writer leaves MLflow alone after a write that took so many."""
    return min(max(least_s, took_s / _SHARE_OF_TIME), _LONGEST_WAIT_S)


def sync(location: str | Path, tracking: Tracking, rebuild: bool = False) -> int:
    """Mirror a whole ledger now, in the foreground, and return how many events MLflow did not have.

    `rebuild` deletes the sweep's runs first. Raises `Refusal` if MLflow cannot be written.
    """
    with Ledger.open(location) as ledger:
        try:
            mirror = Mirror(ledger, tracking)
            if rebuild:
                mirror.delete()
            return mirror.catch_up()
        except Exception as error:  # what MLflow raises has no common base
            raise Refusal(
                f"MLflow at {redacted(tracking.uri)} must take the sweep, and does not ({type(error).__name__}: "
                f"{redacted(str(error))}). Mend that, then sync again: the ledger keeps everything"
            ) from error


@dataclass
class _Run:
    """What a run in MLflow is known to hold."""

    id: str
    seq: int = 0
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)


class Mirror:
    """One sweep in MLflow: a run of its own, and one below it for each trial. In the foreground, and not retried.

    After an error make a new one: it finds out what arrived.
    """

    def __init__(self, ledger: Ledger, tracking: Tracking) -> None:
        self.history = History()
        self._ledger = ledger
        self._tracking = tracking
        self._runs = _Runs(tracking)
        self._sweep, self._trials = self._runs.find(ledger.uid)
        self._on_front: set[int] = set()

    def delete(self) -> None:
        """Delete the sweep's runs."""
        for run in (self._sweep, *self._trials.values()):
            if run is not None:
                self._runs.delete(run)
        self._sweep, self._trials = None, {}

    def catch_up(self) -> int:
        """Write what the ledger holds and MLflow does not; returns how many events of trials that were."""
        fresh: dict[int, list[tuple[int, datetime, Event]]] = defaultdict(list)
        before = self.history.last_seq
        for seq, at, event in self._ledger.events(after=before):
            self.history.apply(seq, at, event)
            trial = getattr(event, "trial", None)
            if trial is not None and (trial not in self._trials or seq > self._trials[trial].seq):
                fresh[trial].append((seq, at, event))
        if self.history.last_seq == before:
            return 0
        if before == 0 or any(isinstance(event, Ended) for events in fresh.values() for _, _, event in events):
            aims = self._tracking.goals, self._tracking.constraints
            self._on_front = {trial.number for trial in front(self.history.trials.values(), *aims)}
        sweep = self._sweep = self._sweep or self._create_sweep()
        for number, events in fresh.items():
            self._write_trial(sweep, self.history.trials[number], events)
        self._write_front()
        self._write_sweep(sweep)
        return sum(len(events) for events in fresh.values())

    def _create_sweep(self) -> _Run:
        opened = [session.opened_at for session in self.history.sessions]
        planned = [trial.planned for trial in self.history.trials.values()]
        return self._runs.create(self._ledger.sweep, min(opened + planned), self._identity())

    def _identity(self) -> dict[str, str]:
        # The name of a sweep is not enough: its folder may have been deleted and the name used again.
        return {"sweep": self._ledger.sweep, LEDGER: self._ledger.uid}

    def _write_sweep(self, run: _Run) -> None:
        session = self.history.sessions[-1] if self.history.sessions else None
        if "state" not in run.tags:
            self._log_dataset(run)
        text = {"state": self.history.closed or "running", NOTE: self._tracking.description, **digests(session)}
        self._runs.set_status(run, _SWEEP_STATUS[self.history.closed], session.closed_at if session else None)
        self._runs.log(run, tags={name: clipped(value, TAG_LIMIT) for name, value in text.items()})

    def _write_trial(self, sweep: _Run, trial: TrialRecord, events: list[tuple[int, datetime, Event]]) -> None:
        run = self._trials.get(trial.number)
        if run is None:
            identity = {**self._identity(), "trial": str(trial.number), PARENT: sweep.id}
            run = self._runs.create(f"trial-{trial.number:04}", trial.planned, identity)
            self._trials[trial.number] = run
        first = run.seq == 0
        if first:
            self._runs.log_config(run, trial.config)
            self._log_dataset(run)
        self._runs.set_status(run, RUN_STATUS[trial.state], trial.ended)
        session = self.history.sessions[-1] if self.history.sessions else None
        run.seq = events[-1][0]
        self._runs.log(
            run,
            points(trial, [(at, event) for _, at, event in events]),
            params(trial.config) if first else {},
            # `seq` comes last: it says that everything else has arrived.
            {**tags(trial, session, trial.number in self._on_front), SEQ: str(run.seq)},
        )

    def _write_front(self) -> None:
        for number, run in self._trials.items():
            self._runs.log(run, tags={"on_front": "true" if number in self._on_front else "false"})

    def _log_dataset(self, run: _Run) -> None:
        if self.history.sessions:
            self._runs.log_dataset(run, self._tracking.dataset, self.history.sessions[0].opened.data_digest)


class _Runs:
    """Runs of one experiment, in plain values. What a run is known to hold is not sent to it again."""

    def __init__(self, tracking: Tracking) -> None:
        quieten()
        # Takes seconds, in the writer's thread.
        import mlflow
        from mlflow import entities

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # its own setting is read too early for some of it
        self._entities = entities
        create_database(tracking.uri, mlflow.MlflowClient)
        self._client = mlflow.MlflowClient(tracking_uri=tracking.uri)
        self._experiment = self._find_experiment(tracking)

    def _find_experiment(self, tracking: Tracking) -> str:
        found = self._client.get_experiment_by_name(tracking.experiment)
        if found is None:
            served = urlsplit(tracking.uri).scheme in {"http", "https", "databricks"}
            artifacts = None if served else tracking.artifacts
            return self._client.create_experiment(tracking.experiment, artifacts)
        if found.lifecycle_stage == self._entities.LifecycleStage.DELETED:
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def find(self, ledger: str) -> tuple[_Run | None, dict[int, _Run]]:
        """A sweep's run and those of its trials, by number. Of a run that a lost answer doubled, one is kept."""
        found: dict[int | None, _Run] = {}
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], f"tags.{LEDGER} = '{ledger}'", page_token=token)
            for run in page:
                trial = int(run.data.tags["trial"]) if "trial" in run.data.tags else None
                one = _Run(run.info.run_id, int(run.data.tags.get(SEQ, 0)), run.info.status, dict(run.data.tags))
                if trial in found:
                    worse, one = sorted((one, found[trial]), key=lambda known: known.seq)
                    self.delete(worse)
                found[trial] = one
            token = page.token
            if not token:
                break
        sweep_run = found.pop(None, None)
        return sweep_run, {number: run for number, run in found.items() if number is not None}

    def create(self, name: str, started: datetime, tags: dict[str, str]) -> _Run:
        """A new run, findable by its tags from its first instant on."""
        run = self._client.create_run(self._experiment, milliseconds(started), tags, name)
        return _Run(run.info.run_id, tags=dict(tags))

    def delete(self, run: _Run) -> None:
        """Move a run to MLflow's bin."""
        self._client.delete_run(run.id)

    def set_status(self, run: _Run, status: str, ended: datetime | None) -> None:
        """Give a run its status, and its end if the status is a final one."""
        if status == run.status:
            return
        if status in _TERMINAL and ended is not None:
            self._client.set_terminated(run.id, status, milliseconds(ended))
        else:
            self._client.update_run(run.id, status)
        run.status = status

    def log(
        self,
        run: _Run,
        points: Sequence[Point] = (),
        params: Mapping[str, str] = NOTHING,
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        """Add metrics, params and those tags that the run does not have yet, in as few calls as MLflow allows."""
        new = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        metrics = [self._entities.Metric(point.name, point.value, point.at_ms, point.step) for point in points]
        some_metrics = _chunks(metrics, _METRICS_PER_BATCH)
        some_params = _chunks([self._entities.Param(*item) for item in params.items()], _PARAMS_PER_BATCH)
        some_tags = _chunks([self._entities.RunTag(*item) for item in new.items()], _TAGS_PER_BATCH)
        # Counted from the back, so that the last tag is in the last call.
        for back in range(max(len(some_metrics), len(some_params), len(some_tags)), 0, -1):
            self._client.log_batch(
                run.id, _from_back(some_metrics, back), _from_back(some_params, back), _from_back(some_tags, back)
            )
        run.tags.update(new)

    def log_config(self, run: _Run, config: dict[str, Any]) -> None:
        """The whole config as a file, whatever the limits on params."""
        self._client.log_dict(run.id, config, "config.json")

    def log_dataset(self, run: _Run, name: str, digest: str) -> None:
        """What the run was trained on. MLflow keeps 36 characters of the digest."""
        source = json.dumps({"task": name, "digest": digest})
        dataset = self._entities.Dataset(name, digest[:_DATASET_DIGEST_LIMIT], "code", source)
        context = self._entities.InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run.id, [self._entities.DatasetInput(dataset, [context])])


def _chunks(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _from_back(chunks: list[list[T]], back: int) -> list[T]:
    return chunks[-back] if back <= len(chunks) else []


def quieten() -> None:
    """No usage reports, no chatter, no waiting for a dead server: MLflow takes these from the environment alone.

    And nothing is unpickled, whatever the environment says: nothing of a sweep is a pickle.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)
