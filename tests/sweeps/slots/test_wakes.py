"""Whom the pool wakes, in one process and without Ray: what an event costs must not grow with the slots."""

import asyncio
from typing import Any

import pytest

from sweeps.slots import pool as pool_module
from sweeps.slots.pool import TrialPool
from sweeps.slots.state import PoolState

SLOTS = 60
WORKER = {"rank": 0, "world_size": 1, "pid": 1, "host": "h", "node_id": "n", "experiment": "e"}


class Counted(PoolState):
    """Counts how often somebody who waits looks whether there is something for it."""

    looks = 0

    def events(self, trial: int, after: int = 0) -> list[Any]:
        Counted.looks += 1
        return super().events(trial, after)

    def ready(self, slot: int, generation: int) -> bool:
        Counted.looks += 1
        return super().ready(slot, generation)

    def verdict(self, report: Any) -> Any:
        Counted.looks += 1
        return super().verdict(report)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def reported(trial: int) -> dict[str, Any]:
    return {"trial": trial, "attempt": 1, "rung": 0, "step": 1, "fidelity": 0.5, "metrics": {}}


async def busy_pool() -> tuple[TrialPool, list[asyncio.Task[Any]]]:
    """Every slot has a trial and every trial a proxy that waits for what it says next."""
    pool = TrialPool(any_lost=lambda _: False)
    for trial in range(SLOTS):
        await pool.submit(trial, {}, 1)
        await pool.take(trial, await pool.hello(trial, [WORKER]))
    proxies = [asyncio.create_task(pool.next_event(trial, 1)) for trial in range(SLOTS)]
    await settled()
    return pool, proxies


def test_an_event_wakes_the_proxy_and_the_worker_of_its_trial_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PoolState", Counted)

    async def scene() -> None:
        pool, proxies = await busy_pool()
        Counted.looks = 0
        worker = asyncio.create_task(pool.report(reported(5)))
        await settled()
        assert proxies[5].done()
        await pool.answer(5, 0, "continue")
        await settled()
        assert worker.result() == "continue"
        assert Counted.looks < 10
        for proxy in proxies:
            proxy.cancel()

    asyncio.run(scene())


def test_whoever_waits_hears_that_the_pool_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PoolState", Counted)

    async def scene() -> None:
        pool, proxies = await busy_pool()
        idle = asyncio.create_task(pool.take(SLOTS, await pool.hello(SLOTS, [WORKER])))
        worker = asyncio.create_task(pool.report(reported(5)))
        await settled()
        await pool.close("the end")
        await settled()
        assert (await idle, await worker) == (None, "superseded")
        told = await asyncio.gather(
            *(proxy for trial, proxy in enumerate(proxies) if trial != 5), return_exceptions=True
        )
        assert {str(error).split(": ")[-1] for error in told} == {"the end"}

    asyncio.run(scene())


def test_who_waits_with_an_older_group_or_a_forgotten_trial_is_told_to_leave() -> None:
    async def scene() -> None:
        pool, proxies = await busy_pool()
        old = asyncio.create_task(pool.take(SLOTS, await pool.hello(SLOTS, [WORKER])))
        lost = asyncio.create_task(pool.report(reported(7)))
        await settled()
        await pool.hello(SLOTS, [WORKER])
        await pool.hello(7, [WORKER])  # the worker of trial 7 is gone, though it still waits for its answer
        await settled()
        assert (await old, await lost) == (None, "superseded")
        ended = {"trial": 9, "attempt": 1, "state": "failed", "failure": "nan", "message": "nan"}
        waits = asyncio.create_task(pool.report(reported(9)))
        await settled()
        await pool.end(ended)
        await pool.forget(9)
        await settled()
        assert await waits == "superseded"
        for proxy in proxies:
            proxy.cancel()

    asyncio.run(scene())
