"""Waiting in the pool: the actor's class itself, in one event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sweeps.events import Ended, Lost
from sweeps.slots.pool import TrialPool
from sweeps.slots.proxy import event_of
from sweeps.slots.records import PoolClosedError
from trainables.notice import warn

WORKER = {"rank": 0, "world_size": 1, "pid": 7, "host": "host", "node_id": "node", "experiment": "slot-0"}
REPORT = {"trial": 1, "attempt": 1, "rung": 0, "step": 10, "fidelity": 0.5, "metrics": {"loss": 1.0}}


def in_a_pool(script: Callable[[TrialPool], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with asyncio.timeout(20):
            return await script(TrialPool(any_lost=lambda nodes: "lost" in nodes))

    return asyncio.run(run())


async def waiting(call: Awaitable[Any]) -> "asyncio.Task[Any]":
    """The call as a task that has begun to wait."""
    task = asyncio.ensure_future(call)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


def test_a_worker_waits_for_a_trial() -> None:
    async def script(pool: TrialPool) -> Any:
        group = await pool.hello(0, [WORKER])
        taking = await waiting(pool.take(0, group))
        await pool.submit(1, {"seed": 3}, 1)
        return await taking

    assert in_a_pool(script) == {"trial": 1, "attempt": 1, "config": {"seed": 3}}


def test_a_worker_that_died_waiting_keeps_no_trial_from_its_successor() -> None:
    async def script(pool: TrialPool) -> Any:
        dead = await waiting(pool.take(0, await pool.hello(0, [WORKER])))
        group = await pool.hello(0, [WORKER])
        await pool.submit(1, {}, 1)
        return await dead, (await pool.take(0, group))["attempt"]  # type: ignore[index]  # a trial waits

    assert in_a_pool(script) == (None, 1)


def test_a_report_waits_for_its_verdict() -> None:
    async def script(pool: TrialPool) -> Any:
        group = await pool.hello(0, [WORKER])
        await pool.submit(1, {}, 1)
        await pool.take(0, group)
        reporting = await waiting(pool.report(REPORT))
        await pool.answer(1, 0, "stop")
        return await reporting

    assert in_a_pool(script) == "stop"


def test_a_proxy_hears_every_event_with_its_number() -> None:
    async def script(pool: TrialPool) -> Any:
        group = await pool.hello(0, [WORKER])
        await pool.submit(1, {}, 1)
        hearing = await waiting(pool.next_event(1, 0))
        await pool.take(0, group)
        await pool.end({"trial": 1, "attempt": 1, "state": "complete", "step": 3})
        heard = [await hearing, await pool.next_event(1, 1), await pool.next_event(1, 0)]
        return [(number, event.kind) for number, event in heard]

    assert in_a_pool(script) == [(1, "started"), (2, "ended"), (1, "started")]


def test_closing_lets_go_of_all_who_wait() -> None:
    async def script(pool: TrialPool) -> Any:
        group = await pool.hello(0, [WORKER])
        await pool.hello(1, [WORKER])
        await pool.submit(1, {}, 1)
        await pool.take(0, group)
        reporting = await waiting(pool.report(REPORT))
        taking = await waiting(pool.take(1, 1))
        hearing = await waiting(pool.next_event(1, 2))
        await pool.close("the driver was stopped")
        with pytest.raises(PoolClosedError, match="trial 1 was left unfinished: the driver was stopped"):
            await hearing
        return await reporting, await taking

    assert in_a_pool(script) == ("superseded", None)


def test_a_lost_trial_is_heard_of_and_trained_again_once_the_driver_grants_it() -> None:
    async def script(pool: TrialPool) -> Any:
        group = await pool.hello(0, [WORKER])
        await pool.submit(1, {}, 1)
        await pool.take(0, group)
        group = await pool.hello(0, [WORKER])
        taking = await waiting(pool.take(0, group))
        _, lost = await pool.next_event(1, 1)
        told = {"event": lost.model_dump_json()}
        assert event_of(told) == lost == Lost(trial=1, attempt=1)
        await pool.retry(1, 2)
        taken = await taking
        await pool.hello(0, [WORKER])
        await pool.abandon(1, "no room")
        _, end = await pool.next_event(1, 4)
        assert isinstance(end, Ended)
        return taken, end.message

    assert in_a_pool(script) == ({"trial": 1, "attempt": 2, "config": {}}, "no room")


def test_what_a_lost_node_took_does_not_count() -> None:
    async def script(pool: TrialPool) -> Any:
        group = await pool.hello(0, [WORKER | {"node_id": "lost"}])
        await pool.submit(1, {}, 1)
        for attempt in range(1, 6):
            await pool.take(0, group)
            group = await pool.hello(0, [WORKER | {"node_id": "lost" if attempt < 5 else "node"}])
            await pool.retry(1, attempt + 1)
        for attempt in range(6, 9):
            await pool.take(0, group)
            group = await pool.hello(0, [WORKER])
            await pool.retry(1, attempt + 1)
        heard = [(await pool.next_event(1, number))[1] for number in range(16)]
        end = heard[-1]
        assert isinstance(end, Ended)
        return [event.kind for event in heard], end.message

    kinds, message = in_a_pool(script)
    assert kinds == ["started", "lost"] * 7 + ["started", "ended"]
    assert "in each of 3 attempts (limit 3)" in message


def test_a_trial_that_hangs_is_ended_and_its_workers_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[str] = []
    monkeypatch.setattr("sweeps.slots.pool.ray.kill", killed.append)

    async def script() -> Any:
        pool = TrialPool(deadline_s=0.2, any_lost=lambda _: False)
        groups = [await pool.hello(slot, [WORKER], [f"actor-{slot}"]) for slot in range(2)]
        for trial in range(2):
            await pool.submit(trial, {}, 1)
            await pool.take(trial, groups[trial])
        for _ in range(30):
            await pool.beat(0, groups[0])
            await asyncio.sleep(0.02)
        _, end = await pool.next_event(1, 1)
        return end, await waiting(pool.next_event(0, 1))

    end, other = asyncio.run(script())
    assert (end.state, end.failure) == ("failed", "timeout")
    assert killed == ["actor-1"]
    assert not other.done() or other.cancelled()


def test_a_worker_that_waits_on_a_node_that_goes_is_told_to_leave() -> None:
    class Actor:
        def __init__(self) -> None:
            self.execute, self.told = self, list[Any]()

        def remote(self, what: Any) -> None:
            self.told.append(what)

    async def script(pool: TrialPool) -> Any:
        stays, goes = Actor(), Actor()
        staying = await waiting(pool.take(0, await pool.hello(0, [WORKER], [stays])))
        going = pool.take(1, await pool.hello(1, [{**WORKER, "node_id": "lost"}], [goes]))
        answer = await going
        await pool.close("done")
        return answer, await staying, goes.told, stays.told

    answer, staying, told, untold = in_a_pool(script)
    assert (answer, staying, untold) == ("leave", None, [])
    assert told == [warn]


def test_who_leaves_gives_its_trial_back_unblamed() -> None:
    async def script(pool: TrialPool) -> Any:
        group = await pool.hello(0, [WORKER])
        await pool.submit(1, {}, 1)
        await pool.take(0, group)
        await pool.leave(0, group)
        _, event = await pool.next_event(1, 1)
        return event, await pool.take(0, group), (await pool.snapshot())["nodes"]

    event, taken, nodes = in_a_pool(script)
    assert event == Lost(trial=1, attempt=1)
    assert (taken, nodes) == ("leave", {})
