"""The pool's state, call by call: trials that hang, starve their workers, or lose them through no fault of theirs."""

from sweeps.events import Ended
from sweeps.slots.records import Job
from sweeps.slots.state import PoolState
from tests.sweeps.slots.test_state import WORKERS, end, kinds, pool_with, report


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def timed_pool(*trials: int) -> tuple[PoolState, Clock]:
    clock = Clock()
    pool = PoolState(deadline_s=60, clock=clock)
    pool.hello(0, WORKERS)
    for trial in trials:
        pool.submit(Job(trial, {}))
    return pool, clock


def last(pool: PoolState, trial: int) -> Ended:
    event = pool.events(trial)[-1]
    assert isinstance(event, Ended)
    return event


def test_a_trial_that_makes_no_progress_is_ended_at_its_deadline_and_not_tried_again() -> None:
    pool, clock = timed_pool(1, 2)
    pool.take(0, 1)
    pool.report(report(1))
    pool.answer(1, 0, "continue")
    assert pool.verdict(report(1)) == "continue"
    clock.now += 65  # progress is told every 6 s
    assert pool.time_out() == []
    clock.now += 2
    assert pool.time_out() == [0]
    assert (last(pool, 1).failure, last(pool, 1).step) == ("timeout", 10)
    assert "makes progress at least every 60 s, and nothing was heard of it for 67 s" in str(last(pool, 1).message)
    assert "raise resources.deadline_s" in str(last(pool, 1).message)
    assert not pool.ready(0, 1), "its workers are being killed"
    assert pool.time_out() == []
    pool.hello(0, WORKERS)
    assert kinds(pool.events(1)) == ["started", "reported", "ended"]
    assert pool.take(0, 2) == (Job(2, {}), 1)


def test_progress_puts_the_deadline_off_but_not_that_of_a_group_that_was_replaced() -> None:
    pool, clock = timed_pool(1)
    pool.take(0, 1)
    for _ in range(10):
        clock.now += 60
        pool.beat(0, 1)
        assert pool.time_out() == []
    pool.hello(0, WORKERS)
    pool.retry(1, 2)
    pool.take(0, 2)
    clock.now += 67
    pool.beat(0, 1)
    assert pool.time_out() == [0]


def test_who_waits_for_a_trial_or_a_verdict_does_not_hang() -> None:
    pool, clock = timed_pool()
    clock.now += 1000
    assert pool.time_out() == []
    pool.submit(Job(1, {}))
    pool.take(0, 1)
    pool.report(report(1))
    pool.beat(0, 1)  # what it said before, which came later
    clock.now += 1000
    assert pool.time_out() == []
    pool.answer(1, 0, "continue")
    pool.verdict(report(1))
    assert pool.time_out() == [], "it has only just heard"
    pool.end(end(1))
    clock.now += 1000
    assert pool.time_out() == []


def test_a_trial_that_hangs_after_it_was_told_to_stop_is_pruned() -> None:
    pool, clock = timed_pool(1)
    pool.take(0, 1)
    pool.report(report(1))
    pool.answer(1, 0, "stop")
    pool.verdict(report(1))
    clock.now += 100
    assert pool.time_out() == [0]
    assert last(pool, 1).state == "pruned"


def test_a_closed_pool_lets_even_those_go_that_are_to_be_killed() -> None:
    pool, clock = timed_pool(1)
    pool.take(0, 1)
    clock.now += 100
    pool.time_out()
    pool.close("over")
    assert pool.ready(0, 1)


def test_a_trial_whose_workers_ray_killed_for_memory_is_not_tried_again() -> None:
    pool = pool_with(1, 2)
    pool.take(0, 1)
    pool.report(report(1))
    pool.starve(0, "memory ran out")
    pool.starve(0, "memory ran out")
    pool.hello(0, WORKERS)
    assert kinds(pool.events(1)) == ["started", "reported", "ended"]
    assert (last(pool, 1).failure, last(pool, 1).message, last(pool, 1).step) == ("oom", "memory ran out", 10)
    assert pool.take(0, 2) == (Job(2, {"seed": 2}), 1)


def test_losses_that_are_not_blamed_on_a_trial_never_end_it() -> None:
    pool = pool_with(1, attempts=2)
    for group in range(1, 11):
        pool.take(0, group)
        pool.hello(0, WORKERS, blamed=False)
        pool.retry(1, group + 1)
    for group in (11, 12):
        pool.take(0, group)
        pool.hello(0, WORKERS)
        pool.retry(1, group + 1)
    assert (last(pool, 1).failure, last(pool, 1).attempt) == ("worker_lost", 12)
    assert "in each of 2 attempts (limit 2)" in str(last(pool, 1).message)


def test_a_slot_that_gives_up_leaves_its_trial_to_others_and_takes_no_more() -> None:
    pool = pool_with(1, slots=2, attempts=1)
    pool.take(0, 1)
    pool.give_up(0, "the disk is full")
    pool.retry(1, 2)
    assert pool.ready(0, 1)
    assert pool.take(0, 1) is None
    assert pool.take(1, 1) == (Job(1, {"seed": 1}), 2)
