"""The fold: what a ledger's events amount to. Whoever applies the same events holds the same history.

States of a trial, and what moves it::

    Planned -> waiting -> Started -> running -> Ended -> complete | pruned | failed
                  ^                     |
                  +------- Opened ------+      a new driver starts with nothing running

A waiting trial may also end as failed (cancelled, or impossible before it began).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sweeps.events import (
    Budgeted,
    Closed,
    Ended,
    Event,
    Granted,
    Opened,
    Planned,
    Reported,
    Started,
    TrialState,
    Worker,
)
from sweeps.ledger.errors import IllegalEvent, LedgerCorrupt
from trainables.outcomes import FailureKind

TRIAL_STATES: tuple[TrialState, ...] = ("waiting", "running", "complete", "pruned", "failed")


@dataclass
class Attempt:
    """One execution of a trial, and the workers that carried it out."""

    number: int
    slot: int
    slot_trials: int
    workers: list[Worker]
    started: datetime


@dataclass
class Session:
    """One driver's hold on the sweep."""

    opened: Opened
    opened_at: datetime
    last_at: datetime
    closed: Closed | None = None
    closed_at: datetime | None = None


@dataclass
class TrialRecord:
    """One trial as the ledger knows it.

    `metrics` are those of its end and, over them, the planned compute: a trial is compared at its full cost, however
    short it was cut. Until its end they are the planned compute alone; what it said on the way is in `reports`.
    `granted` is the number of the last attempt that might begin, `paid` the fidelity up to which it may train, and
    `begun` the share of the planned training that all attempts might begin: what was begun again counts again.
    """

    number: int
    config: dict[str, Any]
    config_digest: str
    parameters: dict[str, Any]
    distributions: dict[str, str]
    sampler_attributes: dict[str, Any]
    compute: dict[str, float]
    rungs: list[float]
    told: int
    planned: datetime
    state: TrialState = "waiting"
    granted: int = 1
    paid: float = 0.0
    begun: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    reports: dict[int, Reported] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    step: int = 0
    fidelity: float = 0.0
    weights_digest: str | None = None
    failure: FailureKind | None = None
    message: str | None = None
    ended: datetime | None = None

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop, at its last rung."""
        return any(report.verdict == "stop" for report in self.reports.values())

    @property
    def next_rung(self) -> float:
        """The fidelity at the rung that it trains towards; after the last, or where it was stopped, the one it has."""
        ahead = () if self.stopped else self.rungs
        return next((rung for rung in ahead if rung > self.fidelity), self.fidelity)

    @property
    def unfinished(self) -> float:
        """The share of its training that an attempt which starts now may have to do."""
        return 0.0 if self.stopped else 1.0 - self.fidelity

    def charge(self) -> None:
        """What lies before the next rung may begin, if it might not before."""
        self.begun += max(0.0, self.next_rung - self.paid)
        self.paid = max(self.paid, self.next_rung)


class History:
    """Everything that follows from a ledger's events, kept up to date one event at a time."""

    def __init__(self) -> None:
        self.trials: dict[int, TrialRecord] = {}
        self.sessions: list[Session] = []
        self.budget: dict[str, int | float] = {}  # what was given over the file's
        self.begun: dict[str, float] = defaultdict(float)  # of each planned metric, by all attempts of all trials
        self.at_rung: dict[int, list[TrialRecord]] = defaultdict(list)  # that reported there, in the order of reports
        self.ended: list[TrialRecord] = []  # in the order of their ends
        self.last_seq = 0

    @classmethod
    def of(cls, events: Iterable[tuple[int, datetime, Event]]) -> "History":
        """The history of these events, from the first on. Raises `LedgerCorrupt`."""
        history = cls()
        for seq, at, event in events:
            history.apply(seq, at, event)
        return history

    @property
    def closed(self) -> str | None:
        """Why the last driver let go; None while one holds the sweep, or when it died without a word."""
        last = self.sessions[-1].closed if self.sessions else None
        return last.reason if last else None

    def counts(self) -> dict[TrialState, int]:
        """Trials by state. Their sum is the number of planned trials, at every instant."""
        counts = dict.fromkeys(TRIAL_STATES, 0)
        for trial in self.trials.values():
            counts[trial.state] += 1
        return counts

    def apply(self, seq: int, at: datetime, event: Event) -> None:
        """Take in the next event. Raises `LedgerCorrupt` where it cannot stand, and is then unchanged."""
        if seq <= self.last_seq:
            raise LedgerCorrupt(f"event {seq}: sequence numbers must rise, but the last one was {self.last_seq}")
        try:
            self.check(event)
        except IllegalEvent as error:
            raise LedgerCorrupt(
                f"event {seq}: {error}. Restore a backup, or open the ledger with the version that wrote it"
            ) from error
        self._take(at, event)
        self.last_seq = seq
        if self.sessions:
            self.sessions[-1].last_at = at

    def check(self, event: Event) -> None:
        """Raise `IllegalEvent` if `event` cannot follow what is known."""
        match event:
            case Opened():
                self._require(
                    all(event.fence > session.opened.fence for session in self.sessions), event, "fences must rise"
                )
            case Planned():
                self._require(event.trial not in self.trials, event, "a trial is planned once")
            case Closed() | Budgeted():
                fence = self.sessions[-1].opened.fence if self.sessions else None
                self._require(fence == event.fence, event, f"only the session in force may say so; it is {fence}")
            case Granted() | Started() | Reported() | Ended():
                self._check_trial(event)

    def _check_trial(self, event: Granted | Started | Reported | Ended) -> None:
        trial = self.trials.get(event.trial)
        if trial is None:
            raise IllegalEvent(f"{event.key}: the trial must have been planned before")
        last = trial.attempts[-1].number if trial.attempts else None
        if isinstance(event, Granted):
            self._require(trial.state in ("waiting", "running"), event, f"the trial is {trial.state}")
            self._require(event.attempt > trial.granted, event, f"grants must rise; the last was {trial.granted}")
        elif isinstance(event, Started):
            self._require(trial.state in ("waiting", "running"), event, f"the trial is {trial.state}")
            self._require(last is None or event.attempt > last, event, f"attempts must rise; the last was {last}")
        elif isinstance(event, Ended) and event.state == "failed":
            self._require(trial.state in ("waiting", "running"), event, f"the trial is {trial.state}")
        else:
            self._require(trial.state == "running", event, f"the trial must be running, it is {trial.state}")
            self._require(event.attempt == last, event, f"attempt {event.attempt} is not in force; {last} is")

    @staticmethod
    def _require(holds: bool, event: Event, rule: str) -> None:
        if not holds:
            raise IllegalEvent(f"{event.key}: {rule}")

    def _take(self, at: datetime, event: Event) -> None:
        match event:
            case Opened():
                self.sessions.append(Session(event, at, at))
                for trial in self.trials.values():
                    if trial.state == "running":
                        trial.state = "waiting"
            case Budgeted():
                self.budget |= event.budget
            case Planned():
                trial = self.trials[event.trial] = _planned(event, at)
                trial.charge()
                self._charge(trial, 0.0)
            case Granted() | Started() | Reported() | Ended():
                trial = self.trials[event.trial]
                if isinstance(event, Reported) and event.rung not in trial.reports:
                    self.at_rung[event.rung].append(trial)
                elif isinstance(event, Ended):
                    self.ended.append(trial)
                before = trial.begun
                _move(trial, event, at)
                self._charge(trial, before)
            case Closed():
                self.sessions[-1].closed, self.sessions[-1].closed_at = event, at

    def _charge(self, trial: TrialRecord, before: float) -> None:
        if trial.begun != before:
            for metric, planned in trial.compute.items():
                self.begun[metric] += planned * (trial.begun - before)


def _planned(event: Planned, at: datetime) -> TrialRecord:
    return TrialRecord(
        number=event.trial,
        config=event.config,
        config_digest=event.config_digest,
        parameters=event.parameters,
        distributions=event.distributions,
        sampler_attributes=event.sampler_attributes,
        compute=event.compute,
        rungs=event.rungs,
        told=event.told,
        planned=at,
        metrics=dict(event.compute),
    )


def _move(trial: TrialRecord, event: Granted | Started | Reported | Ended, at: datetime) -> None:
    match event:
        case Granted():
            trial.granted, trial.paid = event.attempt, trial.fidelity
            trial.charge()
        case Started():
            trial.state = "running"
            trial.attempts.append(Attempt(event.attempt, event.slot, event.slot_trials, event.workers, at))
        case Reported():
            trial.reports[event.rung] = event
            trial.step, trial.fidelity = event.step, event.fidelity
            if event.verdict == "continue":
                trial.charge()
        case Ended():
            _end(trial, event, at)


def _end(trial: TrialRecord, event: Ended, at: datetime) -> None:
    trial.state = event.state
    trial.metrics = {**event.metrics, **trial.compute}
    # A lost worker cannot say how far it came; its reports did.
    trial.step, trial.fidelity = max(trial.step, event.step), max(trial.fidelity, event.fidelity)
    trial.weights_digest = event.weights_digest
    trial.failure, trial.message = event.failure, event.message
    trial.ended = at
