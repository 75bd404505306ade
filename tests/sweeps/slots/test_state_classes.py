"""The pool's state, call by call: slots of several classes, and slots whose workers are about to be taken away."""

from sweeps.events import Worker
from sweeps.slots.records import Job
from sweeps.slots.state import PoolState
from tests.sweeps.slots.test_state import WORKERS, end, kinds

SMALL, LARGE = 0, 1


def pool_of(*classes: int) -> PoolState:
    """A slot of each of these classes, with workers."""
    pool = PoolState(classes=dict(enumerate(classes)))
    for slot in range(len(classes)):
        pool.hello(slot, WORKERS)
    return pool


def test_a_slot_takes_the_first_trial_of_its_class() -> None:
    pool = pool_of(SMALL, LARGE, LARGE)
    for trial, slot_class in enumerate([LARGE, SMALL, LARGE]):
        pool.submit(Job(trial, {}, slot_class=slot_class))
    assert pool.take(0, 1) == (Job(1, {}, slot_class=SMALL), 1)
    assert pool.take(1, 1) == (Job(0, {}, slot_class=LARGE), 1)
    assert pool.take(2, 1) == (Job(2, {}, slot_class=LARGE), 1)


def test_a_free_slot_leaves_trials_of_another_class_alone() -> None:
    pool = pool_of(SMALL, LARGE)
    pool.submit(Job(0, {}, slot_class=LARGE))
    assert not pool.ready(0, 1)
    assert pool.ready(1, 1)
    pool.take(1, 1)
    pool.vacate(1)
    pool.retry(0, 2)
    assert not pool.ready(0, 1), "a new attempt is of the trial's class, too"
    assert pool.ready(1, pool.hello(1, WORKERS))


def test_a_trial_ahead_is_for_a_slot_of_its_class_that_has_none_with_a_proxy() -> None:
    pool = pool_of(SMALL, LARGE)
    for trial, slot_class in ((0, SMALL), (1, SMALL)):
        pool.submit(Job(trial, {}, slot_class=slot_class))
    pool.submit_ahead(Job(2, {}, slot_class=LARGE))
    assert not pool.ready(1, 1), "no proxy is about to be free"
    pool.take(0, 1)
    pool.end(end(0))
    assert pool.take(1, 1) == (Job(2, {}, slot_class=LARGE), 1)
    assert pool.take(0, 1) == (Job(1, {}, slot_class=SMALL), 1)


def test_workers_that_leave_take_no_more_and_cost_their_trial_nothing() -> None:
    pool = pool_of(SMALL)
    pool.submit(Job(0, {}))
    for attempt in range(1, 6):  # more often than workers may be lost
        pool.take(0, attempt)
        pool.leave(0)
        pool.vacate(0, blamed=False)
        assert pool.leaves(0, attempt)
        assert (pool.ready(0, attempt), pool.take(0, attempt)) == (True, None)
        assert not pool.leaves(0, pool.hello(0, WORKERS))
        pool.retry(0, attempt + 1)
    assert pool.take(0, 6) == (Job(0, {}), 6)
    assert kinds(pool.events(0)) == ["started", "lost"] * 5 + ["started"]


def test_where_slots_are_is_known_while_they_have_workers() -> None:
    pool = PoolState(classes={0: 0, 1: 0})
    waits = "starts its workers, or waits for a place for them"
    assert pool.snapshot()["progress"] == {0: waits, 1: waits}
    there = Worker(rank=1, world_size=2, pid=8, host="h", node_id="there", experiment="slot-0")
    pool.hello(0, [*WORKERS, there])
    assert (pool.snapshot()["progress"], pool.snapshot()["nodes"]) == ({1: waits}, {0: {"node", "there"}})
    assert pool.occupied() == {0: {"node", "there"}}
    pool.leave(0)
    assert pool.occupied() == {}
    pool.vacate(0)
    assert (pool.snapshot()["progress"], pool.snapshot()["nodes"]) == ({0: waits, 1: waits}, {})
