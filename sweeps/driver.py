"""The driver: turns suggestions into trials and events into records. The one place where a sweep is moved on."""

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

from search_spaces.sweep_file import SweepFile
from sweeps.events import Ended, Planned, Reported, SlotEvent, TrialState
from sweeps.ledger.history import TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.search.study import Record, Suggestion
from sweeps.slots.state import Job
from sweeps.stopping import judge
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.outcomes import Verdict


class Pool(Protocol):
    """What the driver tells the pool of the slots."""

    def submit_ahead(self, job: Job) -> None:
        """Have the next trial wait for a slot, before Tune has a proxy for it."""

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        """Give the verdict to the worker that waits for it."""

    def forget(self, trial: int) -> None:
        """The trial's end is on record: nobody will ask for its events again."""


class Search(Protocol):
    """What the driver asks: of a search of the space, or of fresh seeds for a front."""

    def restore(self, records: Iterable[Record]) -> None:
        """Take in the trials that the ledger has."""

    def ask(self, number: int) -> Suggestion | None:
        """What to try as trial `number`, the next; None when there is nothing left."""

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """How a trial ended."""


class Driver:
    """Decides what is trained next and takes in what happened; durable first, told to others after.

    Holds nothing of its own that matters: a new driver on the same ledger goes on where this one was. Trials that an
    earlier driver left unfinished come first, in their order; then the search is asked, until the budget is spent.
    `at_once` trials are under way at most. Where there is more than one, the next waits in the pool already, for the
    first slot that gets free; a serial sweep has nothing ahead, so that each suggestion knows all that ended before.
    """

    def __init__(self, ledger: Ledger, sweep: SweepFile, search: Search, at_once: int, pool: Pool) -> None:
        self.ledger, self.sweep, self.search = ledger, sweep, search
        self.at_once, self.pool = at_once, pool
        self.under_way: set[int] = set()
        self._ahead: Job | None = None
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
        waiting = self.under_way or self._left or self._ahead
        return not waiting and (self._exhausted or self._budget_spent())

    def take_in(self, event: SlotEvent) -> None:
        """Record what happened in a slot and do what follows from it; telling it twice changes nothing."""
        if isinstance(event, Reported):
            self._report(event)
            return
        if isinstance(event, Ended):
            event = self._with_every_goal(event)
        recorded = self.ledger.append(event)
        if isinstance(event, Ended):
            self.under_way.discard(event.trial)
            if recorded is not None:
                self.search.tell(event.trial, event.state, self.ledger.history.trials[event.trial].metrics)
            self.pool.forget(event.trial)

    def _with_every_goal(self, event: Ended) -> Ended:
        """The event itself, or a failure if a trial calls itself complete without a finite value of every goal."""
        known = {**event.metrics, **self.ledger.history.trials[event.trial].compute}
        missing = [goal for goal in self.sweep.goals if not math.isfinite(known.get(goal, math.nan))]
        if event.state != "complete" or not missing:
            return event
        message = f"a complete trial has a finite value of every goal; {', '.join(missing)} had none"
        return event.model_copy(update={"state": "failed", "failure": "user_error", "message": message})

    def _look_ahead(self) -> None:
        if self.at_once > 1 and self._ahead is None:
            self._ahead = self._next_job()
            if self._ahead is not None:
                self.pool.submit_ahead(self._ahead)

    def _next_job(self) -> Job | None:
        record = self._unfinished() or self._planned()
        if record is None:
            return None
        return Job(record.number, record.config, attempt=1 + max((a.number for a in record.attempts), default=0))

    def _unfinished(self) -> TrialRecord | None:
        return self.ledger.history.trials[self._left.pop(0)] if self._left else None

    def _planned(self) -> TrialRecord | None:
        number = len(self.ledger.history.trials)
        if self._exhausted or self._budget_spent():
            return None
        suggestion = self.search.ask(number)
        if suggestion is None:
            self._exhausted = True
            return None
        config = TrialConfig.model_validate(suggestion.config)
        self.ledger.append(
            Planned(
                trial=number,
                config=config.to_json(),
                config_digest=config.digest(),
                parameters=suggestion.parameters,
                distributions=suggestion.distributions,
                sampler_attributes=suggestion.sampler_attributes,
                compute=planned_metrics(config, self.sweep.budget.trials or 1),
                rungs=[step / config.steps for step in config.rung_steps()],
                told=self.ledger.history.last_seq,
            )
        )
        return self.ledger.history.trials[number]

    def _budget_spent(self) -> bool:
        trials = self.sweep.budget.trials
        return trials is not None and len(self.ledger.history.trials) >= trials

    def _report(self, event: Reported) -> None:
        trial = self.ledger.history.trials[event.trial]
        told_before = trial.reports.get(event.rung)
        if told_before is not None and told_before.verdict is not None:  # the answer may never have arrived
            self.pool.answer(event.trial, event.rung, told_before.verdict)
            return
        verdict = judge(self.sweep.stop, self.ledger.history, self.sweep.goals, event)
        self.ledger.append(event.model_copy(update={"verdict": verdict}))
        self.pool.answer(event.trial, event.rung, verdict)
