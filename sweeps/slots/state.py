"""What the pool knows, without Ray: which trials wait, which run where, and what each of them has said.

A trial goes to one slot at a time, of its class. When the worker group of that slot is lost, the driver hears of it
(`Lost`), since what is trained again is paid for again; it grants a new attempt, which goes to the head of the queue,
or lets the trial end. Whatever an older attempt still says is refused. A trial repeats itself exactly, so what was said
and answered at a rung stands, whichever attempt got there first. Every trial ends by exactly one `Ended`.

A trial that loses its workers is tried again, but not for ever: one that kills them each time would take the sweep with
it. What the loss of a node took is not its fault and does not count, nor do workers that leave since they were warned
of it: their slot takes no trial before it has others. Two losses are no accident, so there is no second attempt after
them: workers that Ray killed since memory ran out (`starve`), and those that made no progress for the sweep's deadline
(`time_out`).
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

from sweeps.events import Ended, Lost, Reported, SlotEvent, Started, Worker
from sweeps.slots.records import HeldSlot, HeldTrial, Job
from trainables.outcomes import FailureKind, Verdict

ATTEMPTS = 3

#: Workers say every tenth of a deadline that they made progress, so what was heard of them may be so much older.
_SLACK = 1.1

_NO_WORKERS = "starts its workers, or waits for a place for them"

#: Said to a worker whose attempt is not the current one: it drops the trial and takes the next.
Superseded = Literal["superseded"]


class PoolState:
    """The queue of trials, the slots and the events of every trial.

    `attempts` is how many workers a trial may lose, `deadline_s` for how many seconds of `clock` its workers may make
    no progress. `classes` are those of the slots, by the number of a slot; what is not in it is of class 0.
    """

    def __init__(
        self,
        attempts: int = ATTEMPTS,
        deadline_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        classes: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._classes = classes
        self.attempts, self.deadline_s, self.clock = attempts, deadline_s, clock
        self.closed: str | None = None
        self.problems: dict[int, str] = {}
        self.progress: dict[int, str] = dict.fromkeys(classes, _NO_WORKERS)
        self._queue: deque[int] = deque()
        self._ahead: deque[int] = deque()
        self._trials: dict[int, HeldTrial] = {}
        self._over: set[int] = set()  # trials that ended, and that the driver has yet to `forget`
        self._slots: dict[int, HeldSlot] = {}

    # Proxies

    def submit(self, job: Job) -> None:
        """Queue a trial; one that is known already stays as it is, or waits with the others if it was ahead."""
        if job.trial in self._ahead:
            self._ahead.remove(job.trial)
        elif job.trial in self._trials:
            return
        else:
            self._trials[job.trial] = HeldTrial(job, job.attempt)
        self._queue.append(job.trial)

    def events(self, trial: int, after: int = 0) -> list[SlotEvent]:
        """What a trial has said, from its event number `after` + 1 on."""
        return self._trials[trial].events[after:]

    # The driver

    def submit_ahead(self, job: Job) -> None:
        """Have the next trial wait, for which there is no proxy yet: the next slot that gets free will take it.

        It comes after all that have proxies, and not before a proxy is about to be free: a slot that trains what nobody
        listens to would wait for its first verdict while those that have proxies wait for the slot.
        """
        if job.trial not in self._trials:
            self._trials[job.trial] = HeldTrial(job, job.attempt)
            self._ahead.append(job.trial)

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        """Give the verdict on a rung. The first one stands; one on a trial that is over changes nothing."""
        known = self._trials.get(trial)
        if known is None or known.ended:
            return
        known.verdicts.setdefault(rung, verdict)
        if known.stopped and (
            known.lost or trial in self._queue
        ):  # its worker was lost while it waited for this answer
            if trial in self._queue:
                self._queue.remove(trial)
            self._end_pruned(known)

    def retry(self, trial: int, attempt: int) -> None:
        """Train a trial whose worker was lost again, as this attempt, before all others."""
        known = self._trials.get(trial)
        if known is not None and known.lost and attempt > known.attempt:
            known.attempt = attempt
            self._queue.appendleft(trial)

    def abandon(self, trial: int, why: str) -> None:
        """Let a trial end as failed whose worker was lost, for there will be no other attempt."""
        known = self._trials.get(trial)
        if known is not None and known.lost:
            self._end_failed(known, "worker_lost", why)

    def forget(self, trial: int) -> None:
        """Drop the events of a trial whose end the driver has recorded."""
        self._trials.pop(trial, None)
        self._over.discard(trial)

    def close(self, reason: str) -> None:
        """Hand out no more trials: idle workers leave at once, busy ones at their next report."""
        self.closed = self.closed or reason

    def snapshot(self) -> dict[str, Any]:
        """What waits, what runs in which slot and where, what slots without workers do, why slots and pool gave up."""
        return {
            "waiting": [*self._queue, *self._ahead],
            "running": {number: slot.trial for number, slot in self._slots.items() if slot.trial is not None},
            "nodes": {number: self.nodes(number) for number, slot in self._slots.items() if not slot.gone},
            "progress": dict(self.progress),
            "problems": dict(self.problems),
            "closed": self.closed,
        }

    # Workers

    def tell_progress(self, slot: int, line: str) -> None:
        """What a slot does that cannot take a trial yet."""
        self.progress[slot] = line

    def nodes(self, slot: int) -> set[str]:
        """Ids of the nodes that the workers of a slot are on, or were on."""
        return {worker.node_id for worker in self._slots[slot].workers} if slot in self._slots else set()

    def hello(self, slot: int, workers: list[Worker], *, blamed: bool = True) -> int:
        """A worker group (re)started: what its slot was at is lost (`vacate`). The answer is the group's generation."""
        generation = self._slots[slot].generation + 1 if slot in self._slots else 1
        self.vacate(slot, blamed=blamed)
        self.progress.pop(slot, None)
        self._slots[slot] = HeldSlot(workers, generation=generation)
        return generation

    def vacate(self, slot: int, *, blamed: bool = True) -> None:
        """The worker group of a slot is gone: its trial waits to hear whether there will be another attempt.

        Unless that is `blamed` on the trial, it does not count: a node was lost, say, or preempted.
        """
        trial = self._taken_from(slot)
        self.progress[slot] = _NO_WORKERS
        if slot in self._slots:
            self._slots[slot].gone = True
        if trial is None:
            return
        trial.losses += blamed
        if trial.stopped:
            self._end_pruned(trial)
        elif trial.losses >= self.attempts:
            why = (
                f"its workers died in each of {trial.losses} attempts (limit {self.attempts}): look at the memory "
                "that the trial needs and at the logs of its slot"
            )
            self._end_failed(trial, "worker_lost", why)
        else:
            trial.events.append(Lost(trial=trial.job.trial, attempt=trial.attempt))

    def occupied(self) -> dict[int, set[str]]:
        """By slot, the nodes of the workers that have not been told to leave."""
        return {slot: self.nodes(slot) for slot, group in self._slots.items() if not (group.leaving or group.gone)}

    def leave(self, slot: int) -> None:
        """The workers of a slot are about to be taken away: they take no trial any more."""
        self._slots[slot].leaving = True

    def leaves(self, slot: int, generation: int) -> bool:
        """Whether that was said of this worker group."""
        return self.current(slot, generation) and self._slots[slot].leaving

    def starve(self, slot: int, why: str) -> None:
        """Ray has killed workers of a slot, since memory ran out: at its size their trial has no room."""
        self._end_taken(slot, "oom", why)

    def beat(self, slot: int, generation: int) -> None:
        """The trial of a slot has made progress."""
        if self.current(slot, generation):
            self._slots[slot].heard = self.clock()

    def time_out(self) -> list[int]:
        """End the trials that have made no progress for too long; their slots, whose workers must be killed now."""
        late = [number for number, slot in self._slots.items() if self._overdue(slot)]
        for number in late:
            silence = self.clock() - self._slots[number].heard
            self._slots[number].condemned = True
            why = (
                f"a trial makes progress at least every {self.deadline_s:g} s, and nothing was heard of it for "
                f"{silence:.0f} s; what its worker was at is in the logs of slot {number}. If a step or what is "
                "measured at a rung takes that long, raise resources.deadline_s"
            )
            self._end_taken(number, "timeout", why)
        return late

    def _overdue(self, slot: HeldSlot) -> bool:
        busy = slot.trial is not None and not slot.waits and not slot.condemned
        return busy and self.clock() - slot.heard > _SLACK * self.deadline_s

    def _end_taken(self, slot: int, failure: FailureKind, why: str) -> None:
        trial = self._taken_from(slot)
        if trial is not None and trial.stopped:
            self._end_pruned(trial)
        elif trial is not None:
            self._end_failed(trial, failure, why)

    def _taken_from(self, slot: int) -> HeldTrial | None:
        """The trial that a slot was at; from now on it is at none."""
        number = self.trial_of(slot)
        if number is None:
            return None
        self._slots[slot].trial = None
        return self._trials[number]

    def current(self, slot: int, generation: int) -> bool:
        """Whether this is still the worker group of the slot."""
        return self._slots[slot].generation == generation

    def trial_of(self, slot: int) -> int | None:
        """The trial that a slot is at."""
        return self._slots[slot].trial if slot in self._slots else None

    def has_work(self) -> bool:
        """Whether a trial waits that a slot without one may take."""
        return any(True for _ in self._waiting())

    def ready(self, slot: int, generation: int) -> bool:
        """Whether `take` has an answer."""
        if self.closed or slot in self.problems or not self.current(slot, generation):
            return True
        group = self._slots[slot]
        return group.leaving or (self._next_for(slot) is not None and not group.condemned)

    def take(self, slot: int, generation: int) -> tuple[Job, int] | None:
        """The next trial for a slot and its attempt; None when there will be none for this worker group."""
        if self.closed or slot in self.problems or not self.current(slot, generation):
            return None
        group, number = self._slots[slot], self._next_for(slot)
        if group.leaving or number is None:
            return None
        (self._queue if number in self._queue else self._ahead).remove(number)
        trial = self._trials[number]
        group.trial, group.heard, group.waits = trial.job.trial, self.clock(), False
        started = Started(
            trial=group.trial,
            attempt=trial.attempt,
            slot=slot,
            slot_trials=group.trained,
            workers=group.workers,
        )
        trial.events.append(started)
        group.trained += 1
        return trial.job, trial.attempt

    def _waiting(self) -> Iterator[int]:
        """The trials that wait for a slot, in their order; that ahead of its proxy only when one gets free."""
        return chain(self._queue, self._ahead if self._over else ())

    def _next_for(self, slot: int) -> int | None:
        """The trial that a slot takes next: the first of its class; None when there is none to take."""
        kind = self._classes.get(slot, 0)
        return next((number for number in self._waiting() if self._trials[number].job.slot_class == kind), None)

    def report(self, report: Reported) -> None:
        """Take in a report, unless its attempt is superseded or an earlier attempt made it already."""
        trial = self._current(report.trial, report.attempt)
        if trial is None:
            return
        self._listening(report.trial, waits=True)
        if report.rung not in [earlier.rung for earlier in trial.reports()]:
            trial.events.append(report)

    def verdict(self, report: Reported) -> Verdict | Superseded | None:
        """The answer to a report; None while the driver has not given it."""
        trial = self._current(report.trial, report.attempt)
        if trial is None or self.closed:
            return "superseded"
        verdict = "stop" if trial.stopped else trial.verdicts.get(report.rung)
        if verdict is not None:
            self._listening(report.trial, waits=False)
        return verdict

    def _listening(self, trial: int, *, waits: bool) -> None:
        for slot in self._slots.values():
            if slot.trial == trial:
                slot.waits, slot.heard = waits, self.clock()

    def end(self, end: Ended) -> None:
        """Take in the end of a trial, unless its attempt is superseded or it has ended."""
        trial = self._current(end.trial, end.attempt)
        if trial is None:
            return
        self._end(trial, end)
        for slot in self._slots.values():
            if slot.trial == end.trial:
                slot.trial = None

    def give_up(self, slot: int, message: str) -> None:
        """A slot cannot train any trial, and says why; the one that it was at may have better luck in another."""
        self.vacate(slot, blamed=False)
        self.progress.pop(slot, None)
        self.problems[slot] = message

    def _current(self, trial: int, attempt: int) -> HeldTrial | None:
        known = self._trials.get(trial)
        if known is None or known.ended or known.lost or known.attempt != attempt:
            return None
        return known

    def _end(self, trial: HeldTrial, end: Ended) -> None:
        trial.events.append(end)
        self._over.add(trial.job.trial)

    def _end_pruned(self, trial: HeldTrial) -> None:
        last = trial.reports()[-1]
        self._end(
            trial,
            Ended(
                trial=last.trial,
                attempt=trial.attempt,
                state="pruned",
                step=last.step,
                fidelity=last.fidelity,
                metrics=last.metrics,
            ),
        )

    def _end_failed(self, trial: HeldTrial, failure: FailureKind, why: str) -> None:
        reports = trial.reports()
        self._end(
            trial,
            Ended(
                trial=trial.job.trial,
                attempt=trial.attempt,
                state="failed",
                step=reports[-1].step if reports else 0,
                fidelity=reports[-1].fidelity if reports else 0.0,
                metrics=reports[-1].metrics if reports else {},
                failure=failure,
                message=why,
            ),
        )
