"""The fold: states, counts, what may follow what."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sweeps.events import Event, Reported
from sweeps.ledger.errors import LedgerCorrupt
from sweeps.ledger.history import History
from tests.sweeps import stories

START = datetime(2026, 1, 1, tzinfo=UTC)


def fold(*events: Event) -> History:
    return History.of((seq, START + timedelta(seconds=seq), event) for seq, event in enumerate(events, start=1))


def test_a_trial_from_plan_to_end() -> None:
    history = fold(stories.opened(), *stories.trial_story(3, knn=0.8, cost=2.0))
    trial = history.trials[3]
    assert (trial.state, trial.step, trial.fidelity, trial.weights_digest) == ("complete", 40, 1.0, "b" * 64)
    assert [report.metrics["transfer/knn_top1"] for report in trial.reports.values()] == [
        0.2,
        0.4,
        0.6000000000000001,
        0.8,
    ]
    assert trial.metrics["test/transfer/knn_top1"] == pytest.approx(0.7)
    assert trial.metrics["compute/cost_s"] == 2.0
    assert (trial.planned, trial.ended) == (START + timedelta(seconds=2), START + timedelta(seconds=8))
    (attempt,) = trial.attempts
    assert (attempt.number, attempt.slot, [worker.rank for worker in attempt.workers]) == (1, 1, [0, 1])


def test_a_pruned_trial_is_counted_at_its_full_cost() -> None:
    cut = stories.ended(0, "pruned", step=10, compute__cost_s=0.1, transfer__knn_top1=0.9)
    trial = fold(stories.planned(0, cost=8.0), stories.started(0), stories.reported(0, 0), cut).trials[0]
    assert trial.metrics == {"compute/cost_s": 8.0, "compute/train_flops": 8e9, "transfer/knn_top1": 0.9}


def test_a_lost_trial_keeps_how_far_it_came() -> None:
    lost = stories.ended(0, "failed", step=0).model_copy(update={"fidelity": 0.0, "failure": "worker_lost"})
    trial = fold(stories.planned(0), stories.started(0), stories.reported(0, 1), lost).trials[0]
    assert (trial.state, trial.failure, trial.step, trial.fidelity) == ("failed", "worker_lost", 20, 0.5)


def test_a_new_driver_finds_nothing_running() -> None:
    before: list[Event] = [stories.opened(1), stories.planned(0), stories.started(0), stories.planned(1)]
    assert fold(*before).counts()["running"] == 1
    resumed = fold(*before, stories.opened(2))
    assert resumed.counts() == {"waiting": 2, "running": 0, "complete": 0, "pruned": 0, "failed": 0}
    again = fold(*before, stories.opened(2), stories.started(0, attempt=2))
    assert [attempt.number for attempt in again.trials[0].attempts] == [1, 2]


def test_sessions_say_who_held_the_sweep_and_why_it_ended() -> None:
    assert fold().closed is None
    once: list[Event] = [stories.opened(1), stories.closed(1)]
    assert fold(*once).closed == "done"
    resumed = fold(*once, stories.opened(2))
    assert (resumed.closed, len(resumed.sessions), resumed.last_seq) == (None, 2, 3)


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([stories.reported(0, 0)], "event 1: reported/0/0: the trial must have been planned"),
        ([stories.planned(0), stories.planned(0)], "event 2: planned/0: a trial is planned once"),
        ([stories.planned(0), stories.reported(0, 0)], "must be running, it is waiting"),
        ([stories.planned(0), stories.ended(0)], "must be running, it is waiting"),
        ([stories.planned(0), stories.started(0, 2), stories.started(0, 1)], "attempts must rise; the last was 2"),
        ([stories.planned(0), stories.started(0, 1), stories.started(0, 2), stories.reported(0, 0)], "2 is"),
        ([*stories.trial_story(0, 0.5), stories.reported(0, 9)], "it is complete"),
        ([*stories.trial_story(0, 0.5), stories.started(0, 2)], "the trial is complete"),
        ([*stories.trial_story(0, 0.5), stories.ended(0, "failed")], "the trial is complete"),
        ([stories.closed(1)], "only the session in force may say so; it is None"),
        ([stories.opened(2), stories.opened(1)], "fences must rise"),
    ],
)
def test_an_illegal_order_is_named(events: list[Event], rule: str) -> None:
    with pytest.raises(LedgerCorrupt, match=rule):
        fold(*events)


def test_an_event_is_applied_once() -> None:
    history = fold(stories.planned(0))
    with pytest.raises(LedgerCorrupt, match="event 1: sequence numbers must rise"):
        history.apply(1, START, stories.planned(1))
    assert list(history.trials) == [0]


class Sweep(RuleBasedStateMachine):
    """Any lawful sweep: counts agree with a plain account of it, and a second fold with the first."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, datetime, Event]] = []
        self.history = History()
        self.account: dict[int, str] = {}
        self.fence = 0

    def tell(self, event: Event) -> None:
        seq = len(self.told) + 1
        self.told.append((seq, START + timedelta(seconds=seq), event))
        self.history.apply(*self.told[-1])

    def pick(self, data: st.DataObject, *states: str) -> int:
        return data.draw(st.sampled_from([trial for trial, state in self.account.items() if state in states]))

    def attempt(self, trial: int) -> int:
        return len(self.history.trials[trial].attempts)

    @rule()
    def plan(self) -> None:
        trial = len(self.account)
        self.tell(stories.planned(trial))
        self.account[trial] = "waiting"

    @precondition(lambda self: not {"waiting", "running"}.isdisjoint(self.account.values()))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        trial = self.pick(data, "waiting", "running")
        self.tell(stories.started(trial, self.attempt(trial) + 1))
        self.account[trial] = "running"

    @precondition(lambda self: "running" in self.account.values())
    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        trial = self.pick(data, "running")
        rung = len(self.history.trials[trial].reports)
        self.tell(stories.reported(trial, rung, attempt=self.attempt(trial)))

    @precondition(lambda self: "running" in self.account.values())
    @rule(data=st.data(), state=st.sampled_from(["complete", "pruned", "failed"]))
    def end(self, data: st.DataObject, state: str) -> None:
        trial = self.pick(data, "running")
        self.tell(stories.ended(trial, state, attempt=self.attempt(trial)))
        self.account[trial] = state

    @precondition(lambda self: "waiting" in self.account.values())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        trial = self.pick(data, "waiting")
        self.tell(stories.ended(trial, "failed", attempt=0))
        self.account[trial] = "failed"

    @rule()
    def kill_and_resume(self) -> None:
        self.fence += 1
        self.tell(stories.opened(self.fence))
        self.account = {trial: "waiting" if state == "running" else state for trial, state in self.account.items()}

    @invariant()
    def counts_add_up(self) -> None:
        states = list(self.account.values())
        counts = self.history.counts()
        assert {state: count for state, count in counts.items() if count} == {s: states.count(s) for s in set(states)}
        assert sum(counts.values()) == sum(event.kind == "planned" for _, _, event in self.told)

    def teardown(self) -> None:
        assert vars(History.of(self.told)) == vars(self.history)
        reports = sum(isinstance(event, Reported) for _, _, event in self.told)
        assert sum(len(trial.reports) for trial in self.history.trials.values()) == reports


TestSweep = Sweep.TestCase
TestSweep.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, database=None)
