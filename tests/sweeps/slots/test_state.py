"""The pool's state, call by call."""

import pytest

from sweeps.events import Ended, Lost, Reported, SlotEvent, Started, Worker
from sweeps.slots.records import Job
from sweeps.slots.state import PoolState

WORKERS = [Worker(rank=0, world_size=1, pid=7, host="host", node_id="node", experiment="slot-0")]


def pool_with(*trials: int, slots: int = 1, attempts: int = 3) -> PoolState:
    pool = PoolState(attempts)
    for slot in range(slots):
        pool.hello(slot, WORKERS)
    for trial in trials:
        pool.submit(Job(trial, {"seed": trial}))
    return pool


def report(trial: int, attempt: int = 1, rung: int = 0) -> Reported:
    return Reported(
        trial=trial, attempt=attempt, rung=rung, step=10 * rung + 10, fidelity=0.25, metrics={"loss": 1.0 + rung}
    )


def end(trial: int, attempt: int = 1) -> Ended:
    return Ended(trial=trial, attempt=attempt, state="complete", step=40, fidelity=1.0)


def kinds(events: list[SlotEvent]) -> list[str]:
    return [event.kind for event in events]


def assert_refused(pool: PoolState, late: Reported) -> None:
    before = pool.events(late.trial).copy()
    pool.report(late)
    pool.end(end(late.trial, late.attempt))
    assert pool.verdict(late) == "superseded"
    assert pool.events(late.trial) == before


def test_trials_are_taken_in_the_order_of_submission() -> None:
    pool = pool_with(4, 2, slots=2)
    assert pool.take(0, 1) == (Job(4, {"seed": 4}), 1)
    assert pool.take(1, 1) == (Job(2, {"seed": 2}), 1)
    assert pool.snapshot()["running"] == {0: 4, 1: 2}


def test_submitting_twice_changes_nothing() -> None:
    pool = pool_with(1)
    pool.submit(Job(1, {"seed": "another"}))
    assert pool.snapshot()["waiting"] == [1]
    pool.take(0, 1)
    pool.submit(Job(1, {"seed": "another"}))
    assert pool.snapshot()["waiting"] == []


def test_a_resumed_trial_counts_its_attempts_on() -> None:
    pool = pool_with()
    pool.submit(Job(1, {}, attempt=4))
    assert pool.take(0, 1) == (Job(1, {}, attempt=4), 4)


def test_taking_a_trial_says_who_trains_it() -> None:
    pool = pool_with(1, 2)
    for trial in (1, 2):
        pool.take(0, 1)
        pool.end(end(trial))
    started = [pool.events(trial)[0] for trial in (1, 2)]
    assert started == [
        Started(trial=trial, attempt=1, slot=0, slot_trials=before, workers=WORKERS)
        for trial, before in ((1, 0), (2, 1))
    ]


def test_a_report_waits_for_its_verdict_and_gets_its_own() -> None:
    pool = pool_with(1, 2, slots=2)
    pool.take(0, 1)
    pool.take(1, 1)
    pool.report(report(1))
    pool.report(report(2))
    assert pool.verdict(report(1)) is None
    pool.answer(2, 0, "stop")
    assert pool.verdict(report(1)) is None
    pool.answer(1, 0, "continue")
    assert (pool.verdict(report(1)), pool.verdict(report(2))) == ("continue", "stop")


def test_the_first_verdict_on_a_rung_stands() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.report(report(1))
    pool.answer(1, 0, "continue")
    pool.answer(1, 0, "stop")
    assert pool.verdict(report(1)) == "continue"


def test_a_lost_trial_waits_for_its_next_attempt_and_is_then_the_next_to_be_taken() -> None:
    pool = pool_with(1, 2, 3)
    pool.take(0, 1)
    assert pool.hello(0, WORKERS) == 2
    assert pool.events(1)[-1] == Lost(trial=1, attempt=1)
    assert pool.snapshot()["waiting"] == [2, 3]
    for _ in range(2):  # the driver may hear of the loss twice
        pool.retry(1, 2)
    assert pool.snapshot()["waiting"] == [1, 2, 3]
    assert pool.take(0, 2) == (Job(1, {"seed": 1}), 2)


def test_a_superseded_attempt_is_refused() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.hello(0, WORKERS)
    assert_refused(pool, report(1))
    pool.retry(1, 2)
    assert_refused(pool, report(1))
    pool.take(0, 2)
    assert_refused(pool, report(1))
    pool.end(end(1, attempt=2))
    assert kinds(pool.events(1)) == ["started", "lost", "started", "ended"]


def test_a_new_attempt_repeats_no_report_and_gets_the_same_answer() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.report(report(1))
    pool.answer(1, 0, "continue")
    pool.hello(0, WORKERS)
    pool.retry(1, 2)
    pool.take(0, 2)
    pool.report(report(1, attempt=2))
    assert pool.verdict(report(1, attempt=2)) == "continue"
    assert kinds(pool.events(1)) == ["started", "reported", "lost", "started"]


def test_a_verdict_that_comes_after_the_loss_answers_the_new_attempt() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.report(report(1))
    pool.hello(0, WORKERS)
    pool.retry(1, 2)
    pool.take(0, 2)
    pool.answer(1, 0, "stop")
    assert pool.verdict(report(1, attempt=2)) == "stop"


def test_a_trial_that_was_told_to_stop_is_not_started_again() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.report(report(1, rung=1))
    pool.answer(1, 1, "stop")
    pool.hello(0, WORKERS)
    assert pool.snapshot()["waiting"] == []
    assert pool.events(1)[-1] == Ended(
        trial=1, attempt=1, state="pruned", step=20, fidelity=0.25, metrics={"loss": 2.0}
    )


@pytest.mark.parametrize("granted", [False, True])
def test_a_stop_that_comes_while_a_lost_trial_waits_ends_it(granted: bool) -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.report(report(1))
    pool.hello(0, WORKERS)
    if granted:
        pool.retry(1, 2)
    pool.answer(1, 0, "stop")
    pool.retry(1, 2)
    pool.abandon(1, "too late")
    assert pool.snapshot()["waiting"] == []
    assert kinds(pool.events(1)) == ["started", "reported", "lost", "ended"]


def test_a_lost_trial_that_gets_no_other_attempt_fails_with_the_reason() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.report(report(1))
    pool.hello(0, WORKERS)
    pool.abandon(1, "no room for another attempt")
    last = pool.events(1)[-1]
    assert isinstance(last, Ended)
    assert (last.state, last.failure, last.message) == ("failed", "worker_lost", "no room for another attempt")
    assert (last.step, last.attempt) == (10, 1)


def test_a_trial_that_ended_is_not_started_again() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.end(end(1))
    pool.hello(0, WORKERS)
    assert pool.snapshot() == {
        "waiting": [],
        "running": {},
        "nodes": {0: {"node"}},
        "progress": {},
        "problems": {},
        "closed": None,
    }


def test_what_a_slot_does_is_shown_until_it_can_take_a_trial_or_gives_up() -> None:
    pool = PoolState()
    pool.tell_progress(0, "loads the data")
    pool.tell_progress(0, "warms up")
    pool.tell_progress(1, "loads the data")
    assert pool.snapshot()["progress"] == {0: "warms up", 1: "loads the data"}
    pool.hello(0, WORKERS)
    pool.give_up(1, "no data")
    assert pool.snapshot()["progress"] == {}


def test_a_trial_ahead_is_taken_when_another_ends_and_heard_of_once() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.submit_ahead(Job(2, {"seed": 2}))
    assert pool.snapshot()["waiting"] == [2]
    pool.end(end(1))
    assert pool.ready(0, 1)
    assert pool.take(0, 1) == (Job(2, {"seed": 2}), 1)
    pool.submit(Job(2, {"seed": 2}))  # its proxy, which comes to it only now
    assert pool.snapshot()["waiting"] == []
    assert kinds(pool.events(2)) == ["started"]


def test_a_trial_ahead_comes_after_those_that_have_proxies() -> None:
    pool = pool_with(slots=2)
    pool.submit_ahead(Job(3, {}))
    assert not pool.ready(0, 1), "nobody would hear its reports"
    pool.submit(Job(1, {}))
    assert pool.take(0, 1) == (Job(1, {}), 1)
    assert not pool.ready(1, 1)
    pool.submit(Job(2, {}))
    pool.end(end(1))
    assert pool.take(0, 1) == (Job(2, {}), 1)
    assert pool.take(1, 1) == (Job(3, {}), 1)


def test_a_trial_ahead_that_gets_its_proxy_first_waits_like_any_other() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.submit_ahead(Job(2, {}))
    pool.end(end(1))
    pool.forget(1)
    assert not pool.ready(0, 1)
    pool.submit(Job(2, {}))
    assert pool.take(0, 1) == (Job(2, {}), 1)


def test_one_that_gets_ahead_while_another_has_no_proxy_yet_loses_neither() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.submit_ahead(Job(2, {}))
    pool.end(end(1))
    pool.forget(1)  # the driver has given trial 2 to Tune, and looked ahead
    pool.submit_ahead(Job(3, {}))
    pool.submit(Job(2, {}))
    assert pool.snapshot()["waiting"] == [2, 3]
    assert pool.take(0, 1) == (Job(2, {}), 1)


def test_a_proxy_that_overtakes_the_driver_changes_nothing() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.submit_ahead(Job(1, {"seed": 1}))
    assert pool.snapshot()["waiting"] == []
    assert kinds(pool.events(1)) == ["started"]


def test_the_first_end_stands() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.end(end(1))
    pool.end(Ended(trial=1, attempt=1, state="failed", failure="user_error"))
    pool.answer(1, 0, "stop")
    assert kinds(pool.events(1)) == ["started", "ended"]


@pytest.mark.parametrize("first_attempt", [1, 5])
def test_a_trial_that_loses_its_workers_too_often_fails(first_attempt: int) -> None:
    pool = pool_with(attempts=2)
    pool.submit(Job(1, {}, first_attempt))
    pool.take(0, 1)
    pool.report(report(1, attempt=first_attempt))
    pool.hello(0, WORKERS)
    pool.retry(1, first_attempt + 1)
    pool.take(0, 2)
    pool.hello(0, WORKERS)
    last = pool.events(1)[-1]
    assert isinstance(last, Ended)
    assert (last.state, last.failure, last.attempt) == ("failed", "worker_lost", first_attempt + 1)
    assert (last.step, last.metrics) == (10, {"loss": 1.0})
    assert "2 attempts (limit 2)" in str(last.message)
    assert pool.snapshot()["waiting"] == []


def test_a_slot_that_is_gone_for_good_gives_its_trial_to_another() -> None:
    pool = pool_with(1, slots=2)
    pool.take(0, 1)
    pool.vacate(0)
    pool.retry(1, 2)
    assert pool.take(1, 1) == (Job(1, {"seed": 1}), 2)


def test_a_worker_group_that_was_replaced_takes_nothing() -> None:
    pool = pool_with()
    assert not pool.ready(0, 1)
    pool.hello(0, WORKERS)
    assert pool.ready(0, 1)
    pool.submit(Job(1, {}))
    assert pool.take(0, 1) is None
    assert pool.take(0, 2) == (Job(1, {}), 1)


def test_a_closed_pool_hands_out_nothing_and_calls_workers_back() -> None:
    pool = pool_with(1, 2)
    pool.take(0, 1)
    pool.report(report(1))
    pool.close("over")
    assert pool.ready(0, 1)
    assert pool.take(0, 1) is None
    assert pool.verdict(report(1)) == "superseded"


def test_events_are_read_on_from_any_number_until_they_are_forgotten() -> None:
    pool = pool_with(1)
    pool.take(0, 1)
    pool.report(report(1))
    assert kinds(pool.events(1)) == ["started", "reported"]
    assert kinds(pool.events(1, after=1)) == ["reported"]
    assert pool.events(1, after=2) == []
    pool.end(end(1))
    pool.forget(1)
    pool.answer(1, 0, "stop")
    assert pool.verdict(report(1)) == "superseded"
