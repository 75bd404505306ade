"""MLflow, written from the ledger by one background thread of the driver.

The ledger is the outbox: what could not be written is tried again from there, so a dead MLflow costs a sweep nothing.
No cursor is kept beside it: each run's tag `seq` is the last event that it mirrors, written together with the last
of that trial's metrics. Deleting MLflow, or a run in it, is therefore safe, and `sync` brings it back.

Only one writer per sweep may run (the driver's, or `sync` while there is none).
"""

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from search_spaces.secrets import redacted
from sweeps.confirmation.membership import Aims
from sweeps.constraints import Constraints
from sweeps.events import Ended, Event, Opened, Started
from sweeps.export.shareable import shareable_values
from sweeps.front import Goals, front
from sweeps.ledger.history import History, Session, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.tracking.run_content import RUN_STATUS, TAG_LIMIT, clipped, digests, params, points, tags
from sweeps.tracking.runs import LEDGER, SEQ, TRIALS, Run, Runs
from sweeps.tracking.sweep_content import FRONT_FILE, TABLE_TAG, card, front_table, note, progress_points

_LOG = logging.getLogger(__name__)

_SWEEP_STATUS = {None: "RUNNING", "done": "FINISHED", "stopped": "KILLED", "interrupted": "KILLED", "error": "FAILED"}

_SHARE_OF_TIME = 0.1  # the most of its time that the writer writes
_LONGEST_WAIT_S = 10.0
_PAGES_EVERY_S = 60.0
_PAGES_SHARE_OF_TIME = 0.05

PROGRESS = "progress"  # how many trials had ended at the last of the sweep's own metrics
PARENT = "mlflow.parentRunId"  # tags of MLflow
NOTE = "mlflow.note.content"


#: Makes what people read of a sweep, unless it is told to stop; the folder that holds it.
Pages = Callable[[Callable[[], bool]], Path | None]


@dataclass(frozen=True)
class Tracking:
    """Where and under which names a sweep is mirrored.

    `description` is Markdown for the sweep's run, and `source` its file; `artifacts` is the URI where files go when
    `uri` is a database (a server has a place of its own); `dataset` names the data, whose digest the ledger holds.
    `storage_flag` is what commands that are shown must say of where the sweep is. `pages` are kept with the sweep's run
    (`sweeps.tracking.pages_of_sweep`), if there are any.
    """

    uri: str = field(repr=False)  # it may hold a password
    artifacts: str
    experiment: str
    description: str
    goals: Goals
    constraints: Constraints
    dataset: str
    source: str = ""
    storage_flag: str = ""
    pages: Pages | None = None

    @property
    def aims(self) -> Aims:
        """What the sweep aims at."""
        return Aims(self.goals, self.constraints)


class MlflowWriter:
    """Mirrors a ledger into MLflow in the background until `drain`. Never raises for a fault of MLflow.

    Its thread waits for the first trial of this session, since it also imports mlflow, for seconds of CPU that slots
    need while they start. It writes every `interval_s` seconds, or less often where that takes long: training needs
    the cores more. The sweep's pages are made again now and then, and when it is done. `last_error` says what MLflow
    last refused; None while all is well.
    """

    def __init__(self, location: str | Path, tracking: Tracking, interval_s: float = 3.0) -> None:
        self.last_error: str | None = None
        self._tracking = tracking
        self._interval_s = interval_s
        self._ledger = Ledger.open(location)
        self._mirrored = 0
        self._stopping = False
        self._pages_due = time.monotonic() + _PAGES_EVERY_S
        self._end = math.inf
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
        self._end = time.monotonic() + timeout_s
        done = self.flush(timeout_s)
        self._stopping = True
        self._wake.set()
        self._thread.join(max(1.0, self._end - time.monotonic()) if done else 1.0)
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
                if time.monotonic() > self._pages_due:
                    self._write_pages(mirror, self._wake.is_set)
            except Exception as error:  # whatever MLflow raises, the sweep goes on
                self._note(error)
                mirror = None  # what it thought it knew may be wrong now: it looks again
                failures += 1
            took_s = time.perf_counter() - began
            with self._ticked:
                self._ticked.notify_all()
            self._wake.wait(pause_s(took_s, self._interval_s * 2**failures))
        if mirror and mirror.history.closed == "done":
            self._write_pages(mirror, lambda: time.monotonic() > self._end)

    def _write_pages(self, mirror: "Mirror", cancelled: Callable[[], bool]) -> None:
        began = time.monotonic()
        _write_pages(mirror, cancelled)
        took_s = time.monotonic() - began
        self._pages_due = time.monotonic() + max(_PAGES_EVERY_S, took_s / _PAGES_SHARE_OF_TIME)

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
            written = mirror.catch_up()
            _write_pages(mirror, lambda: False)
            return written
        except Exception as error:  # what MLflow raises has no common base
            raise Refusal(
                f"MLflow at {redacted(tracking.uri)} must take the sweep, and does not ({type(error).__name__}: "
                f"{redacted(str(error))}). Mend that, then sync again: the ledger keeps everything"
            ) from error


def _write_pages(mirror: "Mirror", cancelled: Callable[[], bool]) -> None:
    try:
        mirror.write_pages(cancelled)
    except Exception as error:  # they can be made again at any time
        _LOG.warning("The sweep's pages could not be written to MLflow (%s)", redacted(str(error)))


class Mirror:
    """One sweep in MLflow: a run of its own, and one below it for each trial. In the foreground, and not retried.

    After an error make a new one: it finds out what arrived.
    """

    def __init__(self, ledger: Ledger, tracking: Tracking) -> None:
        self.history = History()
        self._ledger = ledger
        self._tracking = tracking
        self._runs = Runs(tracking.uri, tracking.experiment, tracking.artifacts)
        self._sweep, self._trials = self._runs.find(ledger.uid)
        self._front: dict[int, TrialRecord] = {}
        self._known_session: Session | None = None  # whose environment its run has

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
        ended = any(isinstance(event, Ended) for events in fresh.values() for _, _, event in events)
        if before == 0 or ended:
            aims = self._tracking.aims
            standing = front(self.history.trials.values(), aims.goals, aims.constraints)
            self._front = {trial.number: trial for trial in standing}
        sweep = self._sweep = self._sweep or self._create_sweep()
        for number, events in fresh.items():
            self._write_trial(sweep, self.history.trials[number], events)
        self._write_front()
        if before == 0 or ended or self.history.closed:  # which may settle from where hypervolumes are measured
            self._write_results(sweep)
        self._write_sweep(sweep)
        return sum(len(events) for events in fresh.values())

    def _create_sweep(self) -> Run:
        opened = [session.opened_at for session in self.history.sessions]
        planned = [trial.planned for trial in self.history.trials.values()]
        return self._runs.create(self._ledger.sweep, min(opened + planned), self._identity())

    def _identity(self) -> dict[str, str]:
        # The name of a sweep is not enough: its folder may have been deleted and the name used again.
        return {"sweep": self._ledger.sweep, LEDGER: self._ledger.uid}

    def write_pages(self, cancelled: Callable[[], bool]) -> None:
        """Have the sweep's pages made, and keep them as files of its run; nothing of it once `cancelled` says so."""
        if self._tracking.pages is None or self._sweep is None:
            return
        folder = self._tracking.pages(cancelled)
        if folder is not None:
            self._runs.log_folder(self._sweep, folder)

    def _write_sweep(self, run: Run) -> None:
        session = self.history.sessions[-1] if self.history.sessions else None
        if "state" not in run.tags:
            self._log_dataset(run)
            self._runs.log_text(run, self._tracking.source, "sweep.yaml")
        if session is not self._known_session:
            self._runs.log_json(
                run, shareable_values(session.opened.environment if session else {}), "environment.json"
            )
            self._known_session = session
        self._runs.set_status(run, _SWEEP_STATUS[self.history.closed], session.closed_at if session else None)
        text = {"state": self.history.closed or "running", TRIALS: str(len(self.history.trials)), **digests(session)}
        self._runs.log(run, tags={name: clipped(value, TAG_LIMIT) for name, value in text.items()})

    def _write_results(self, run: Run) -> None:
        """What the trials that ended amount to."""
        table = front_table(
            self._ledger.sweep, list(self._front.values()), self._tracking.goals, self._tracking.storage_flag
        )
        self._runs.log_json(run, table, FRONT_FILE)
        told = progress_points(self.history, self._tracking.aims, int(run.tags.get(PROGRESS, 0)))
        described = clipped(note(self._tracking.description, self._tracking.source, table), TAG_LIMIT)
        last = {PROGRESS: str(told[-1].step)} if told else {}
        self._runs.log(run, told, tags={NOTE: described, **TABLE_TAG, **last})

    def _write_trial(self, sweep: Run, trial: TrialRecord, events: list[tuple[int, datetime, Event]]) -> None:
        run = self._trials.get(trial.number)
        if run is None:
            identity = {**self._identity(), "trial": str(trial.number), PARENT: sweep.id}
            run = self._runs.create(f"trial-{trial.number:04}", trial.planned, identity)
            self._trials[trial.number] = run
        first = run.seq == 0
        if first:
            self._runs.log_json(run, shareable_values(trial.config), "config.json")
            self._log_dataset(run)
        self._runs.set_status(run, RUN_STATUS[trial.state], trial.ended)
        session = self.history.sessions[-1] if self.history.sessions else None
        run.seq = events[-1][0]
        described = tags(trial, session, trial.number in self._front)
        shown = card(self._ledger.sweep, trial, self._tracking.goals, self._tracking.storage_flag)
        self._runs.log(
            run,
            points(trial, [(at, event) for _, at, event in events]),
            params(trial.config, trial.parameters) if first else {},
            # `seq` comes last: it says that everything else has arrived.
            {**described, NOTE: clipped(shown, TAG_LIMIT), SEQ: str(run.seq)},
        )

    def _write_front(self) -> None:
        for number, run in self._trials.items():
            self._runs.log(run, tags={"on_front": "true" if number in self._front else "false"})

    def _log_dataset(self, run: Run) -> None:
        if self.history.sessions:
            self._runs.log_dataset(run, self._tracking.dataset, self.history.sessions[0].opened.data_digest)
