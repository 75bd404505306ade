"""Whatever happens to trials in whatever order, through real driver, ledger and pool: none is lost or counted twice.

Workers are rules of a machine instead of processes, so that whatever comes next is hypothesis' choice: also a driver
that freezes while another one takes over, and writes on when it wakes.
"""

import os
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sweeps.driver import Driver
from sweeps.events import Ended, Opened, Reported, Worker
from sweeps.ledger.errors import FenceLost
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.search.planning import search_of
from sweeps.slots.state import PoolState
from tests.faults.lengths import count, length
from tests.sweeps.plain_slot import smoke

#: Two slots of two classes; about half of the trials fit into the smaller.
CLASSES = "resources.classes={small: {slots: 1, memory_gb: 0.000158}, large: {slots: 1, memory_gb: 1}}"
LOADED = smoke("budget.trials=6", "search={name: random, seed: 0}", "stop={name: asha, reduction: 4}", CLASSES)
SPEC = {"file": LOADED.file.to_json()}
SLOTS = 2
FAILURES = ("nan", "oom", "timeout", "worker_lost", "bad_data", "user_error")
WORKERS = [Worker(rank=0, world_size=1, pid=1, host="h", node_id="n", experiment="e")]

#: How often each rule did something, over all sequences.
fired: Counter[str] = Counter()


class Session:
    """A driver, and the pool and slots of its Ray."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.open(folder)
        fence = self.ledger.claim()
        facts: dict[str, Any] = {"host": "h", "pid": 1, "code_digest": "c", "data_digest": "d", "environment": {}}
        self.ledger.append(Opened(fence=fence, **facts))
        self.pool = PoolState(classes={0: 0, 1: 1})
        self.slots = {slot: self.pool.hello(slot, WORKERS) for slot in range(SLOTS)}
        self.work: dict[int, tuple[int, int]] = {}  # by slot, the trial and its attempt
        self.heard: dict[int, int] = {}
        search = search_of(LOADED.space, LOADED.file, self.ledger.history.trials)
        self.driver = Driver(self.ledger, LOADED.file, search, SLOTS, self)

    # As the driver speaks to the pool

    def __getattr__(self, word: str) -> Any:
        return getattr(self.pool, word)

    def forget(self, trial: int) -> None:
        self.heard.pop(trial, None)
        self.pool.forget(trial)


class Trials(RuleBasedStateMachine):
    """A sweep of six trials in two slots."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        Ledger.create(self.folder / "sweep", "sweep", SPEC).close()
        self.session = Session(self.folder / "sweep")
        self.frozen: Session | None = None

    def slot_at_work(self, data: st.DataObject) -> tuple[int, int, int]:
        slot = data.draw(st.sampled_from(sorted(self.session.work)))
        return slot, *self.session.work[slot]

    @rule()
    def plan(self) -> None:
        while (job := self.session.driver.next_trial()) is not None:
            self.session.heard[job.trial] = 0
            self.session.pool.submit(job)
            fired["plan"] += 1

    @rule()
    def claim(self) -> None:
        self.plan()
        pool = self.session.pool
        for slot, generation in self.session.slots.items():
            if (
                slot not in self.session.work
                and pool.ready(slot, generation)
                and (taken := pool.take(slot, generation))
            ):
                assert taken[0].slot_class == slot, "a slot takes trials of its class alone"
                self.session.work[slot] = taken[0].trial, taken[1]
                fired["claim"] += 1

    @rule()
    def hear(self) -> None:
        """The driver takes in what trials have said."""
        while said := self.unheard(self.session)[:1]:
            self.session.heard[said[0].trial] += 1
            self.session.driver.take_in(said[0])
            fired["hear"] += 1

    @precondition(lambda self: self.session.work)
    @rule(data=st.data(), accuracy=st.floats(0, 1), rungs=st.integers(0, 3))
    def report(self, data: st.DataObject, accuracy: float, rungs: int) -> None:
        """A worker reports at so many rungs and is answered; at none, it reports and nobody hears it yet."""
        slot, trial, attempt = self.slot_at_work(data)
        self.say(trial, attempt, accuracy)
        for _ in range(rungs):
            self.hear()
            if self.obey(slot, trial, attempt, accuracy):
                self.hear()
                return
            self.say(trial, attempt, accuracy)

    def say(self, trial: int, attempt: int, accuracy: float) -> None:
        if (report := self.reported(trial, attempt, accuracy)) is not None:
            self.session.pool.report(report)
            fired["report"] += 1

    def obey(self, slot: int, trial: int, attempt: int, accuracy: float) -> bool:
        """Whether the worker is done with the trial, by what it was answered last."""
        record = self.session.ledger.history.trials[trial]
        verdicts = [report.verdict for report in record.reports.values()]
        if "stop" in verdicts:
            self.end(slot, trial, attempt, "pruned", fidelity=record.fidelity)
            fired["prune"] += 1
        elif len(verdicts) == len(record.rungs):
            self.end(slot, trial, attempt, "complete", metrics={"transfer/knn_top1": accuracy})
            fired["complete"] += 1
        return slot not in self.session.work

    def reported(self, trial: int, attempt: int, accuracy: float) -> Reported | None:
        """The report at the first rung without a verdict; None where all have been answered."""
        record = self.session.ledger.history.trials[trial]
        for rung, fidelity in enumerate(record.rungs):
            known = record.reports.get(rung)
            if known is None or known.verdict != "continue":
                metrics = {"transfer/knn_top1": accuracy}
                ids = {"trial": trial, "attempt": attempt, "rung": rung}
                return Reported(**ids, step=rung + 1, fidelity=fidelity, metrics=metrics)
        return None

    @precondition(lambda self: self.session.work)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def fail(self, data: st.DataObject, failure: str) -> None:
        self.end(*self.slot_at_work(data), "failed", failure=failure, message=failure)
        fired["fail"] += 1

    def end(self, slot: int, trial: int, attempt: int, state: str, **more: Any) -> None:
        self.session.pool.end(Ended.model_validate({"trial": trial, "attempt": attempt, "state": state, **more}))
        del self.session.work[slot]

    @precondition(lambda self: self.session.work)
    @rule(data=st.data())
    def lose_worker(self, data: st.DataObject) -> None:
        slot, _, _ = self.slot_at_work(data)
        del self.session.work[slot]
        self.session.slots[slot] = self.session.pool.hello(slot, WORKERS)
        fired["lose worker"] += 1

    @precondition(lambda self: self.session.work)
    @rule(data=st.data(), reports=st.booleans(), accuracy=st.floats(0, 1))
    def leave(self, data: st.DataObject, reports: bool, accuracy: float) -> None:
        """A worker is warned, leaves, and others come: none of it counts against its trial."""
        slot, trial, attempt = self.slot_at_work(data)
        if reports:
            self.say(trial, attempt, accuracy)
        pool, generation = self.session.pool, self.session.slots[slot]
        losses = pool._trials[trial].losses
        pool.leave(slot)
        pool.vacate(slot, blamed=False)
        del self.session.work[slot]
        assert pool.ready(slot, generation)
        assert pool.take(slot, generation) is None
        assert pool._trials[trial].losses == losses
        self.session.slots[slot] = pool.hello(slot, WORKERS)
        fired["leave"] += 1

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        waiting = [t.number for t in self.session.ledger.history.trials.values() if t.state == "waiting"]
        idle = [trial for trial in waiting if not self.session.heard.get(trial) and trial in self.session.heard]
        idle = [trial for trial in idle if not self.session.pool.events(trial)]
        if idle:
            trial = data.draw(st.sampled_from(idle))
            ended = Ended(trial=trial, attempt=0, state="failed", failure="user_error", message="cancelled")
            self.session.driver.take_in(ended)
            with suppress(ValueError):
                self.session.pool._queue.remove(trial)
            fired["cancel"] += 1

    @precondition(lambda self: self.session.work)
    @rule()
    def kill_and_resume(self) -> None:
        self.session.ledger.close()
        self.session = Session(self.folder / "sweep")
        fired["kill"] += 1

    @precondition(lambda self: self.frozen is None and self.session.work)
    @rule()
    def freeze_and_replace(self) -> None:
        """A driver whose lock does not reach the one that replaces it, as where they are on two hosts."""
        self.frozen = self.session
        (self.folder / "sweep" / "ledger.db.lock").unlink()
        self.session = Session(self.folder / "sweep")
        fired["freeze"] += 1

    @precondition(lambda self: self.frozen is not None)
    @rule()
    def wake(self) -> None:
        """It goes on as if nothing had been: whatever it would write is refused."""
        assert self.frozen
        before, session = self.session.ledger.count(), self.frozen
        for word in (
            session.driver.next_trial,
            *(lambda e=e: session.driver.take_in(e) for e in self.unheard(session)),
        ):
            try:
                word()
            except FenceLost:
                fired["wake refused"] += 1
        assert self.session.ledger.count() == before
        session.ledger.close()
        self.frozen = None

    @staticmethod
    def unheard(session: Session) -> list[Any]:
        return [event for trial, heard in session.heard.items() for event in session.pool.events(trial, heard)]

    @invariant()
    def none_is_lost_or_counted_twice(self) -> None:
        history = self.session.ledger.history
        counts = history.counts()
        assert sum(counts.values()) == len(history.trials) <= 6
        assert sorted(history.trials) == list(range(len(history.trials)))
        for trial in history.trials.values():
            assert (trial.state == "failed") == (trial.failure is not None), "every failure has a class"
            assert (trial.ended is not None) == (trial.state in ("complete", "pruned", "failed"))

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        events = list(self.session.ledger.events())
        assert vars(History.of(events)) == vars(self.session.ledger.history)
        planned = sum(event.kind == "planned" for _, _, event in events)
        assert planned == sum(History.of(events).counts().values())
        for session in filter(None, (self.session, self.frozen)):
            session.ledger.close()
        shutil.rmtree(self.folder)


#: Sequences write to memory: what is tried is the order of things, not the disk.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

TestTrials = Trials.TestCase
SEQUENCES = length(120, 500)
TestTrials.settings = settings(max_examples=SEQUENCES, stateful_step_count=60, deadline=None, database=None)


def test_every_rule_had_its_turn() -> None:
    """After the machine: else its sequences would have tried nothing."""
    least = SEQUENCES // 40
    rules = (
        "plan",
        "claim",
        "hear",
        "report",
        "complete",
        "prune",
        "fail",
        "lose worker",
        "leave",
        "cancel",
        "kill",
        "freeze",
        "wake refused",
    )
    assert {name: fired[name] for name in rules if fired[name] < least} == {}
    count("P10 states", sequences=SEQUENCES, rules=len(rules), fired=sum(fired.values()))
