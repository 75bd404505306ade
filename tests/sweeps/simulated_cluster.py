"""A cluster that is stepped: slots that train nothing, workers that die, drivers that are killed, one true meter.

Everything but the training is real: the pool's state, the driver, the search, the ledger. `ran` is what the workers
did, kept by themselves: no part of the product adds to it.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search_spaces.sweep_file import LoadedSweep
from sweeps.driver import Driver
from sweeps.events import Ended, Opened, Reported, Worker
from sweeps.ledger.store import Ledger
from sweeps.search.planning import search_of
from sweeps.slots.records import Job
from sweeps.slots.state import PoolState
from trainables.outcomes import Verdict

WORKERS = [Worker(rank=0, world_size=1, pid=1, host="h", node_id="n", experiment="e")]


class Killed(Exception):
    """The driver is gone."""


@dataclass
class Odds:
    """How likely something happens at a step."""

    driver_dies: float = 0.0
    worker_dies: float = 0.0
    trial_fails: float = 0.0


@dataclass
class _Slot:
    generation: int
    job: Job | None = None
    attempt: int = 0
    at: float = 0.0
    waits_at: int | None = None


class Cluster:
    """The slots of one session, and what outlives it: checkpoints, by trial the fidelity, and what `ran`, in cost."""

    def __init__(self, loaded: LoadedSweep, folder: Path, slots: int, odds: Odds, seed: int) -> None:
        self.loaded, self.folder, self.count, self.odds = loaded, folder, slots, odds
        self.chance = random.Random(seed)
        self.checkpoints: dict[int, float] = defaultdict(float)
        self.ran = 0.0
        self.sessions = 0
        Ledger.create(folder, "simulated", {"file": loaded.file.to_json()}).close()

    def session(self) -> Driver | None:
        """One driver, from its claim to its end; None if it was killed."""
        with Ledger.open(self.folder) as ledger:
            fence = ledger.claim()
            facts = {"host": "h", "pid": 1, "code_digest": "c", "data_digest": "d", "environment": {}}
            ledger.append(Opened(fence=fence, **facts))
            self.sessions += 1
            self.ledger, self.pool = ledger, PoolState()
            self.slots = {slot: _Slot(self.pool.hello(slot, WORKERS)) for slot in range(self.count)}
            self.heard: dict[int, int] = {}
            try:
                return self._drive(ledger)
            except Killed:
                for _ in range(self.chance.randrange(4 * self.count)):  # workers outlive the driver for a moment
                    self._work(self.chance.randrange(self.count))
                return None

    def _drive(self, ledger: Ledger) -> Driver:
        file = self.loaded.file
        search = search_of(self.loaded.space, file, ledger.history.trials)
        driver = Driver(ledger, file, search, self.count, self)
        while True:
            self._dies()
            if self.chance.random() < 0.5:
                self._work(self.chance.randrange(self.count))
            elif (spoken := self._unheard()) and self.chance.random() < 0.8:
                trial = self.chance.choice(spoken)
                event = self.pool.events(trial, self.heard[trial])[0]
                self.heard[trial] += 1
                driver.take_in(event)
            elif (job := driver.next_trial()) is not None:
                self._dies()
                self.heard[job.trial] = 0
                self.pool.submit(job)
            elif driver.finished:
                return driver

    def _dies(self) -> None:
        if self.chance.random() < self.odds.driver_dies:
            raise Killed

    def _unheard(self) -> list[int]:
        return [trial for trial, heard in self.heard.items() if len(self.pool.events(trial)) > heard]

    # The pool, as the driver speaks to it: it may die before or after each word

    def submit_ahead(self, job: Job) -> None:
        self._say(lambda: self.pool.submit_ahead(job))

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        self._say(lambda: self.pool.answer(trial, rung, verdict))

    def retry(self, trial: int, attempt: int) -> None:
        self._say(lambda: self.pool.retry(trial, attempt))

    def abandon(self, trial: int, why: str) -> None:
        self._say(lambda: self.pool.abandon(trial, why))

    def forget(self, trial: int) -> None:
        del self.heard[trial]
        self._say(lambda: self.pool.forget(trial))

    def _say(self, word: Callable[[], None]) -> None:
        self._dies()
        word()
        self._dies()

    # Workers

    def _work(self, number: int) -> None:
        """Let one slot do the next thing."""
        slot = self.slots[number]
        if slot.job is None:
            if self.pool.ready(number, slot.generation) and (taken := self.pool.take(number, slot.generation)):
                slot.job, slot.attempt = taken
                slot.at, slot.waits_at = self.checkpoints[slot.job.trial], None
                if slot.at:  # a trial that goes on from a checkpoint reports its rung again
                    self._report(slot, self._rungs(slot.job.trial).index(slot.at))
        elif self.chance.random() < self.odds.worker_dies:
            self.slots[number] = _Slot(self.pool.hello(number, WORKERS))
        elif slot.waits_at is not None:
            self._hear(slot)
        else:
            self._train(slot, slot.job)

    def _rungs(self, trial: int) -> list[float]:
        return self.ledger.history.trials[trial].rungs

    def _train(self, slot: _Slot, job: Job) -> None:
        rung, end = next((number, at) for number, at in enumerate(self._rungs(job.trial)) if at > slot.at)
        to = end if self.chance.random() < 0.7 else slot.at + (end - slot.at) * self.chance.random()
        self.ran += (to - slot.at) * self.ledger.history.trials[job.trial].compute["compute/cost_s"]
        slot.at = to
        if self.chance.random() < self.odds.trial_fails:
            self._end(slot, job, "failed", failure="nan", message="nan")
        elif to == end:
            self.checkpoints[job.trial] = end
            self._report(slot, rung)

    def _report(self, slot: _Slot, rung: int) -> None:
        assert slot.job
        slot.waits_at = rung
        self.pool.report(self._said(slot, rung))

    def _said(self, slot: _Slot, rung: int) -> Reported:
        assert slot.job
        metrics = {"transfer/knn_top1": slot.job.config["memory"]["size"] / 2000}
        ids = {"trial": slot.job.trial, "attempt": slot.attempt, "rung": rung}
        return Reported(**ids, step=round(12 * slot.at), fidelity=slot.at, metrics=metrics)

    def _hear(self, slot: _Slot) -> None:
        assert slot.job
        assert slot.waits_at is not None
        said = self._said(slot, slot.waits_at)
        match self.pool.verdict(said):
            case "superseded":
                slot.job = None
            case "stop" if slot.at < 1:
                self._end(slot, slot.job, "pruned", metrics=said.metrics)
            case "stop" | "continue" if slot.at == 1:
                self._end(slot, slot.job, "complete", metrics=said.metrics)
            case "continue":
                slot.waits_at = None

    def _end(self, slot: _Slot, job: Job, state: str, **more: object) -> None:
        ids = {"trial": job.trial, "attempt": slot.attempt, "fidelity": slot.at, "step": round(12 * slot.at)}
        self.pool.end(Ended.model_validate({**ids, "state": state, **more}))
        slot.job = None
