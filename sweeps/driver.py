"""The driver: turns suggestions into trials and events into records. The one place where a sweep is moved on."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from search_spaces.sweep_file import SweepFile
from sweeps.events import Ended, Granted, Lost, Planned, Reported, SlotEvent
from sweeps.ledger.history import TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.search.planning import planned_compute
from sweeps.search.protocol import Search
from sweeps.slots.records import Job
from sweeps.spending import expected_seconds, in_force, seconds_left, without_room
from sweeps.stopping import Judge
from trainables.config import TrialConfig
from trainables.metrics import COST_S, PEAK_BYTES
from trainables.outcomes import Verdict


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


class Pool(Protocol):
    """What the driver tells the pool of the slots."""

    def submit_ahead(self, job: Job) -> None:
        """Have the next trial wait for a slot, before Tune has a proxy for it."""

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        """Give the verdict to the worker that waits for it."""

    def retry(self, trial: int, attempt: int) -> None:
        """Train a trial whose worker was lost again, as this attempt."""

    def abandon(self, trial: int, why: str) -> None:
        """Let a trial end as failed whose worker was lost: there will be no other attempt."""

    def forget(self, trial: int) -> None:
        """The trial's end is on record: nobody will ask for its events again."""


class Driver:
    """Decides what is trained next and takes in what happened; durable first, told to others after.

    Holds nothing of its own that matters: a new driver on the same ledger goes on where this one was. Trials that an
    earlier driver left unfinished come first, in their order; then the search is asked, until the budget is spent.
    `at_once` trials are under way at most. Where there is more than one, the next waits in the pool already, for the
    first slot that gets free; a serial sweep has nothing ahead, so that each suggestion knows all that ended before.

    Nothing is begun that the budget would not let end (`sweeps.spending`). A suggestion for which there is no room
    waits until a trial under way was stopped and leaves some. A trial that an earlier driver left and that cannot be
    finished within the budget stays as it is, for a larger one: it is `cut`. `now` is the clock.
    """

    def __init__(
        self,
        ledger: Ledger,
        sweep: SweepFile,
        search: Search,
        at_once: int,
        pool: Pool,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.ledger, self.sweep, self.search = ledger, sweep, search
        self.at_once, self.pool, self.now = at_once, pool, now
        self.budget = in_force(sweep.budget, ledger.history)
        self._judge = Judge(sweep.stop, ledger.history, sweep.goals)
        self.under_way: set[int] = set()
        self._ahead: Job | None = None
        self._next: Planned | None = None
        self._left = sorted(t.number for t in ledger.history.trials.values() if t.state in ("waiting", "running"))
        self._exhausted = False
        search.restore(ledger.history.trials.values())

    def next_trial(self) -> Job | None:
        """The next trial to train; None if there is none now (all slots taken, or nothing left: see `finished`)."""
        if len(self.under_way) >= self.at_once:
            self._look_ahead()
            return None
        job, self._ahead = self._ahead or self._next_job(), None
        if job is not None:
            self.under_way.add(job.trial)
        return job

    @property
    def finished(self) -> bool:
        """Whether every trial of the sweep has ended and none will follow."""
        if self.under_way or self._ahead:
            return False
        if self._left:
            return self.cut == self._left
        return self._exhausted or self._enough_trials() or (self._next is not None and not self._has_room(self._next))

    @property
    def cut(self) -> list[int]:
        """Trials that an earlier driver left, and that there is no room to finish now."""
        trials = self.ledger.history.trials
        return [number for number in self._left if not self._has_room(trials[number], trials[number].unfinished)]

    def take_in(self, event: SlotEvent) -> None:
        """Record what happened in a slot and do what follows from it; telling it twice changes nothing."""
        if isinstance(event, Reported):
            self._report(event)
            return
        if isinstance(event, Lost):
            self._try_again(event)
            return
        if isinstance(event, Ended):
            event = self._with_every_value(event)
        recorded = self.ledger.append(event)
        if isinstance(event, Ended):
            self.under_way.discard(event.trial)
            if recorded is not None:
                self.search.tell(event.trial, event.state, self.ledger.history.trials[event.trial].metrics)
            self.pool.forget(event.trial)

    def _with_every_value(self, event: Ended) -> Ended:
        """The event itself, or a failure if a trial calls itself complete without a value of a goal or constraint."""
        known = {**event.metrics, **self.ledger.history.trials[event.trial].compute}
        asked = dict.fromkeys([*self.sweep.goals, *self.sweep.constraints])
        missing = [metric for metric in asked if not math.isfinite(known.get(metric, math.nan))]
        if event.state != "complete" or not missing:
            return event
        message = f"a complete trial has a finite value of every goal and constraint; {', '.join(missing)} had none"
        return event.model_copy(update={"state": "failed", "failure": "user_error", "message": message})

    def _look_ahead(self) -> None:
        if self.at_once > 1 and self._ahead is None:
            self._ahead = self._next_job()
            if self._ahead is not None:
                self.pool.submit_ahead(self._ahead)

    def _next_job(self) -> Job | None:
        record = self._unfinished() if self._left else self._planned()
        return self._job(record) if record else None

    def _job(self, record: TrialRecord) -> Job:
        workers, peak_bytes = record.config.get("workers", 1), record.compute.get(PEAK_BYTES, 0.0)
        slot_class = self.sweep.resources.class_of(workers, peak_bytes)
        assert slot_class is not None  # the search has seen to it
        return Job(record.number, record.config, record.granted, slot_class)

    def _unfinished(self) -> TrialRecord | None:
        """The first trial that an earlier driver left and that can be finished; its next attempt is charged for."""
        cut = self.cut
        number = next((number for number in self._left if number not in cut), None)
        if number is None:
            return None
        self._left.remove(number)
        trial = self.ledger.history.trials[number]
        last = max([trial.granted, *(attempt.number for attempt in trial.attempts)])
        self.ledger.append(Granted(trial=number, attempt=last + 1))
        return trial

    def _planned(self) -> TrialRecord | None:
        """The next trial of the search, once there is room for it."""
        self._next = self._next or self._suggested()
        if self._next is None or not self._has_room(self._next):
            return None
        planned, self._next = self._next, None
        self.ledger.append(planned)
        return self.ledger.history.trials[planned.trial]

    def _suggested(self) -> Planned | None:
        number = len(self.ledger.history.trials)
        if self._exhausted or self._enough_trials():
            return None
        suggestion = self.search.ask(number)
        if suggestion is None:
            self._exhausted = True
            return None
        config = TrialConfig.model_validate(suggestion.config)
        return Planned(
            trial=number,
            config=config.to_json(),
            config_digest=config.digest(),
            parameters=suggestion.parameters,
            distributions=suggestion.distributions,
            sampler_attributes=suggestion.sampler_attributes,
            compute=planned_compute(config, self.sweep),
            rungs=[step / config.steps for step in config.rung_steps()],
            told=self.ledger.history.last_seq,
        )

    def _enough_trials(self) -> bool:
        return self.budget.trials is not None and len(self.ledger.history.trials) >= self.budget.trials

    def _has_room(self, trial: Planned | TrialRecord, share: float = 1.0) -> bool:
        """Whether the budget bears `share` of this trial, and all that is under way."""
        history = self.ledger.history
        if without_room(self.budget, history, self._kept(), trial.compute, share):
            return False
        left_s = seconds_left(self.budget, history, self.now())
        return left_s == math.inf or expected_seconds(history, trial.compute.get(COST_S, 0.0) * share) <= left_s

    def _kept(self) -> list[TrialRecord]:
        ahead = {self._ahead.trial} if self._ahead else set()
        return [self.ledger.history.trials[number] for number in self.under_way | ahead]

    def _try_again(self, event: Lost) -> None:
        """A worker was lost: what it trained since the last rung is paid for again before it is trained again."""
        trial = self.ledger.history.trials[event.trial]
        if trial.ended or trial.stopped:  # in the second case, the pool lets it end
            return
        if trial.granted <= event.attempt:
            again = trial.next_rung - trial.fidelity
            if cap := without_room(self.budget, self.ledger.history, self._kept(), trial.compute, again):
                self.pool.abandon(event.trial, f"its workers died, and budget.{cap} has no room for another attempt")
                return
            self.ledger.append(Granted(trial=event.trial, attempt=event.attempt + 1))
        self.pool.retry(event.trial, trial.granted)

    def _report(self, event: Reported) -> None:
        trial = self.ledger.history.trials[event.trial]
        told_before = trial.reports.get(event.rung)
        if told_before is not None and told_before.verdict is not None:  # the answer may never have arrived
            self.pool.answer(event.trial, event.rung, told_before.verdict)
            return
        verdict = self._judge(event)
        self.ledger.append(event.model_copy(update={"verdict": verdict}))
        self.pool.answer(event.trial, event.rung, verdict)
