"""The pool: the one place where Tune's proxies, Train's workers and the driver meet. It keeps nothing durable.

A named Ray actor that needs no CPU. Calls that wait for something (`next_event`, `take`, `report`) do not block others.
Workers, which may not import `sweeps`, reach it by its name and speak plain dicts: the fields of `sweeps.events`.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import ray
from ray._private.state import state as ray_state
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.events import Ended, Reported, SlotEvent, Worker
from sweeps.slots.records import Job, PoolClosedError
from sweeps.slots.state import ATTEMPTS, PoolState, Superseded
from trainables.notice import warn
from trainables.outcomes import Verdict

log = logging.getLogger(__name__)

NAMESPACE = "contrastive-sweeps"

#: Every waiting worker and proxy occupies one call of the actor.
CALLS_AT_ONCE = 10_000


def any_lost(nodes: set[str]) -> bool:
    """Whether one of these nodes is dead, or is being taken away (preempted)."""
    if not nodes:
        return False
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return not nodes <= alive - set(ray_state.get_draining_nodes())  # Ray Train asks the same way


class TrialPool:
    """`PoolState` as an actor; see there for what each call means."""

    def __init__(
        self,
        attempts: int = ATTEMPTS,
        deadline_s: float = math.inf,
        any_lost: Callable[[set[str]], bool] = any_lost,
        classes: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._state, self._any_lost = PoolState(attempts, deadline_s, classes=classes), any_lost
        self._idle = asyncio.Condition()  # slots wait in it for a trial
        self._changed: dict[int, asyncio.Condition] = {}  # by trial; its proxy and its worker wait in it
        self._actors: dict[int, list[Any]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def submit(self, trial: int, config: dict[str, Any], attempt: int, slot_class: int = 0) -> None:
        """Queue a trial; one that is known already stays as it is."""
        self._state.submit(Job(trial, config, attempt, slot_class))
        await self._tell()

    async def submit_ahead(self, trial: int, config: dict[str, Any], attempt: int, slot_class: int = 0) -> None:
        """Have the next trial wait, for which there is no proxy yet."""
        self._state.submit_ahead(Job(trial, config, attempt, slot_class))
        await self._tell()

    async def next_event(self, trial: int, after: int) -> tuple[int, SlotEvent]:
        """Wait for the event of a trial that follows its event number `after`. Raises `PoolClosedError`."""
        state = self._state
        changed = self._of(trial)
        async with changed:
            await changed.wait_for(lambda: state.events(trial, after) or state.closed)
            events = state.events(trial, after)
        if not events:
            raise PoolClosedError(f"trial {trial} was left unfinished: {state.closed}")
        return after + 1, events[0]

    async def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        """Give the verdict on a rung of a trial."""
        self._state.answer(trial, rung, verdict)
        await self._tell(trial)

    async def retry(self, trial: int, attempt: int) -> None:
        """Train a trial whose worker was lost again."""
        self._state.retry(trial, attempt)
        await self._tell(trial)

    async def abandon(self, trial: int, why: str) -> None:
        """Let a trial end whose worker was lost."""
        self._state.abandon(trial, why)
        await self._tell(trial)

    async def forget(self, trial: int) -> None:
        """Drop the events of a trial whose end the driver has recorded."""
        self._state.forget(trial)
        await self._tell(trial)
        self._changed.pop(trial, None)

    async def close(self, reason: str) -> None:
        """Hand out no more trials."""
        self._state.close(reason)
        await self._tell(*self._changed)
        await _wake(self._idle)

    async def vacate(self, slot: int) -> None:
        """The worker group of a slot is gone."""
        trial = self._state.trial_of(slot)
        self._state.vacate(slot, blamed=not self._any_lost(self._state.nodes(slot)))
        await self._tell(trial)

    async def leave(self, slot: int, generation: int) -> None:
        """A worker group goes that was warned: its trial, which has written a checkpoint, goes on elsewhere."""
        if self._state.current(slot, generation):
            trial = self._state.trial_of(slot)
            self._state.vacate(slot, blamed=False)
            self._state.leave(slot)
            await self._tell(trial)
            await _wake(self._idle)

    async def snapshot(self) -> dict[str, Any]:
        """What waits, what runs where, which slots gave up."""
        return self._state.snapshot()

    async def progress(self, slot: int, line: str) -> None:
        """What a worker of a slot does before it can take a trial."""
        self._state.tell_progress(slot, line)

    async def hello(self, slot: int, workers: list[dict[str, Any]], actors: list[Any] | None = None) -> int:
        """A worker group (re)started; the answer names this group in its calls of `take` and `beat`.

        `actors` are the handles of its workers, to warn those that are about to be taken away and kill those that hang.
        """
        blamed = not self._any_lost(self._state.nodes(slot))
        found = [Worker.model_validate(worker) for worker in workers]
        trial = self._state.trial_of(slot)
        generation = self._state.hello(slot, found, blamed=blamed)
        self._actors[slot] = actors or []
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_watch())
        await self._tell(trial)
        await _wake(self._idle)  # who asks for the group before it is told to leave
        return generation

    async def beat(self, slot: int, generation: int) -> None:
        """The trial of a slot has made progress."""
        self._state.beat(slot, generation)

    async def starve(self, slot: int, why: str) -> None:
        """Ray has killed workers of a slot, since memory ran out."""
        trial = self._state.trial_of(slot)
        self._state.starve(slot, why)
        await self._tell(trial)

    async def take(self, slot: int, generation: int) -> dict[str, Any] | Literal["leave"] | None:
        """Wait for a trial to train: its number, attempt and config. None: there will be none.

        "leave": there will be none here, since a node of the group is about to be taken away.
        """
        state = self._state
        async with self._idle:
            await self._idle.wait_for(lambda: state.ready(slot, generation))
            taken = state.take(slot, generation)
        if taken is None:
            return "leave" if state.leaves(slot, generation) and not state.closed else None
        job, attempt = taken
        await self._tell(job.trial)
        return {"trial": job.trial, "attempt": attempt, "config": job.config}

    async def report(self, payload: dict[str, Any]) -> Verdict | Superseded:
        """Take in a report of a trial at a rung and wait for the driver's verdict."""
        report = Reported.model_validate(payload)
        self._state.report(report)
        await self._tell(report.trial)
        changed = self._of(report.trial)
        async with changed:
            while (verdict := self._state.verdict(report)) is None:
                await changed.wait()
        return verdict

    async def end(self, payload: dict[str, Any]) -> None:
        """Take in the end of a trial."""
        end = Ended.model_validate(payload)
        self._state.end(end)
        await self._tell(end.trial)

    async def give_up(self, slot: int, message: str) -> None:
        """A slot cannot train any trial."""
        trial = self._state.trial_of(slot)
        self._state.give_up(slot, message)
        await self._tell(trial)
        await _wake(self._idle)

    async def _keep_watch(self) -> None:
        """End trials that hang, and their workers: Ray Train then starts new ones. Warn those who must leave a node."""
        while True:
            await asyncio.sleep(min(1.0, self._state.deadline_s / 10))
            for slot in self._state.time_out():
                for actor in self._actors[slot]:
                    ray.kill(actor)
                await self._tell(*self._changed)
            for slot in self._on_lost_nodes():
                self._state.leave(slot)
                for actor in self._actors[slot]:
                    actor.execute.remote(warn)
                await _wake(self._idle)

    def _on_lost_nodes(self) -> list[int]:
        """Slots with a worker on a node that is lost, or about to be; none while Ray does not say."""
        occupied = self._state.occupied()
        try:
            if not self._any_lost(set().union(*occupied.values())):
                return []
            return [slot for slot, nodes in occupied.items() if self._any_lost(nodes)]
        except Exception as error:  # Ray has no class for it; the next look is in a second
            log.warning("the pool cannot see which nodes are there: %s", error)
            return []

    def _of(self, trial: int) -> asyncio.Condition:
        """Where to wait for what is said of a trial."""
        return self._changed.setdefault(trial, asyncio.Condition())

    async def _tell(self, *trials: int | None) -> None:
        """Wake who waits for these trials, and the slots without one if there is one now.

        Nobody else: to wake all at every event would cost the number of slots squared.
        """
        for trial in trials:
            if trial is not None and (changed := self._changed.get(trial)):
                await _wake(changed)
        if self._state.has_work():
            await _wake(self._idle)


async def _wake(waiting: asyncio.Condition) -> None:
    async with waiting:
        waiting.notify_all()


def start_pool(
    name: str,
    attempts: int = ATTEMPTS,
    deadline_s: float | None = None,
    classes: Mapping[int, int] = MappingProxyType({}),
) -> Any:
    """Start a pool of this name and return its actor handle; the pool ends when the handle is dropped.

    A trial that makes no progress for `deadline_s` seconds is ended. `classes` are those of the slots.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {
        "name": name,
        "namespace": NAMESPACE,
        "num_cpus": 0,
        "max_concurrency": CALLS_AT_ONCE,
        "scheduling_strategy": here,  # it is lost with its driver alone
    }
    return ray.remote(TrialPool).options(**options).remote(attempts, deadline_s or math.inf, classes=dict(classes))


def find_pool(name: str) -> Any:
    """Actor handle of the pool of this name. Raises ValueError when there is none."""
    return ray.get_actor(name, namespace=NAMESPACE)
