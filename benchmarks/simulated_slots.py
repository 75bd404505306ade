"""A sweep on simulated slots: search, driver, ledger, pool and MLflow's writer are the product's, only trials are not.

Workers and proxies are coroutines that speak with the real `TrialPool` as those of Ray do, without Ray between them. A
trial takes simulated seconds by an explicit clock; what is measured is what the driver does meanwhile, in real ones.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from search_spaces.sweep_file import LoadedSweep
from sweeps.driver import Driver
from sweeps.events import Ended, Event, Opened, TrialState
from sweeps.ledger.store import Ledger
from sweeps.search.planning import search_of
from sweeps.search.protocol import Record, Search, Suggestion
from sweeps.slots.pool import TrialPool
from sweeps.slots.proxy import event_of
from sweeps.slots.records import Job
from sweeps.tracking.mirror import Mirror, Tracking, pause_s
from trainables.outcomes import Verdict

#: Simulated seconds of a trial that is trained to its end: the mean, and the deviation of their logarithm.
TRIAL_S, SPREAD = 3600.0, 0.5
RUNGS = 3


class Stopwatch:
    """Real seconds by part of the driver: `dispatch` is whatever belongs to no other part."""

    def __init__(self) -> None:
        self.wall_s: dict[str, float] = defaultdict(float)
        self.cpu_s: dict[str, float] = defaultdict(float)
        self._part, self._since = "dispatch", self._now()

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """A block of one part; within it, what is of another counts for that one alone."""
        outer = self._turn_to(part)
        try:
            yield
        finally:
            self._turn_to(outer)

    def read(self) -> tuple[dict[str, float], dict[str, float]]:
        """Wall and CPU seconds until now."""
        self._turn_to(self._part)
        return dict(self.wall_s), dict(self.cpu_s)

    def _turn_to(self, part: str) -> str:
        now, before = self._now(), self._part
        self.wall_s[before] += now[0] - self._since[0]
        self.cpu_s[before] += now[1] - self._since[1]
        self._part, self._since = part, now
        return before

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.thread_time()


class TimedLedger(Ledger):
    """What it appends counts for the ledger."""

    watch: Stopwatch

    def append(self, event: Event) -> int | None:
        with self.watch.of("ledger"):
            return super().append(event)


@dataclass
class TimedSearch:
    """What is asked and told counts for the search."""

    search: Search
    watch: Stopwatch

    def restore(self, records: Iterable[Record]) -> None:
        with self.watch.of("search"):
            self.search.restore(records)

    def ask(self, number: int) -> Suggestion | None:
        with self.watch.of("search"):
            return self.search.ask(number)

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        with self.watch.of("search"):
            self.search.tell(number, state, metrics)


@dataclass(frozen=True)
class Reading:
    """What so many ended trials had taken of the driver, in all: seconds by part, bytes of memory, events behind."""

    trials: int
    wall_s: dict[str, float]
    cpu_s: dict[str, float]
    simulated_s: float
    rss: int


@dataclass
class Lag:
    """How MLflow kept up: at each time that it was written, the events and the simulated seconds that it was behind."""

    events: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Proxies:
    """The pool as the driver speaks to it, told and not waited for, and the proxies of Tune's trials."""

    def __init__(self, pool: TrialPool, watch: Stopwatch) -> None:
        self.pool, self.watch = pool, watch
        self.ended, self.changed = 0, asyncio.Event()
        self.calls: set[asyncio.Task[None]] = set()

    def submit_ahead(self, job: Job) -> None:
        self._tell(self.pool.submit_ahead(job.trial, job.config, job.attempt))

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        self._tell(self.pool.answer(trial, rung, verdict))

    def forget(self, trial: int) -> None:
        self._tell(self.pool.forget(trial))

    def retry(self, trial: int, attempt: int) -> None:
        raise NotImplementedError("no worker is lost here")

    def abandon(self, trial: int, why: str) -> None:
        raise NotImplementedError("no worker is lost here")

    def start(self, driver: Driver, job: Job) -> None:
        """A proxy for a trial (`sweeps.slots.proxy`), whose results come to the driver as JSON."""
        self._tell(self._follow(driver, job))

    async def _follow(self, driver: Driver, job: Job) -> None:
        await self.pool.submit(job.trial, job.config, job.attempt)
        heard, over = 0, False
        while not over:
            heard, event = await self.pool.next_event(job.trial, heard)
            event = event_of({"event": event.model_dump_json()})
            with self.watch.of("scheduler"):
                driver.take_in(event)
            over = isinstance(event, Ended)
        self.ended += 1
        self.changed.set()

    def _tell(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(call)
        self.calls.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self.calls.discard(task)
        task.result()


Trained = Callable[[dict[str, Any]], dict[str, float]]


async def work(pool: TrialPool, slot: int, rungs: int, trained: Trained) -> None:
    """A slot, as `trainables.ray_worker` has it, of one worker that trains nothing."""
    facts = {"rank": 0, "world_size": 1, "pid": slot, "host": "node", "node_id": "node", "experiment": f"slot-{slot}"}
    group = await pool.hello(slot, [facts])
    while assignment := await pool.take(slot, group):
        assert assignment != "leave", "no node is lost here"
        ids = {"trial": assignment["trial"], "attempt": assignment["attempt"]}
        metrics = trained(assignment["config"])
        seconds = TRIAL_S * random.Random(assignment["trial"]).lognormvariate(-(SPREAD**2) / 2, SPREAD)
        said: dict[str, Any] = {"metrics": metrics}
        state = "complete"
        for rung in range(rungs):
            await asyncio.sleep(seconds / rungs)
            said |= {"step": rung + 1, "fidelity": (rung + 1) / rungs}
            if await pool.report({**ids, "rung": rung, **said}) == "stop" and said["fidelity"] < 1:
                state = "pruned"
                break
        await pool.end({**ids, **said, "state": state, "weights_digest": "0" * 64})


async def mirror(ledger: Ledger, tracking: Tracking, watch: Stopwatch, lag: Lag) -> None:
    """MLflow's writer at its own pace: what writing takes in real seconds, it takes in simulated ones too."""
    with watch.of("MLflow"):
        mirrored, wait_s = Mirror(ledger, tracking), 0.0
    while True:
        lag.events.append(ledger.history.last_seq - mirrored.history.last_seq)
        began = time.perf_counter()
        with watch.of("MLflow"):
            mirrored.catch_up()
        took_s = time.perf_counter() - began
        lag.seconds.append(wait_s + took_s)
        wait_s = pause_s(took_s)
        await asyncio.sleep(took_s + wait_s)


async def simulated(
    folder: Path, loaded: LoadedSweep, slots: int, trained: Trained, at: Sequence[int], tracking: Tracking | None
) -> tuple[list[Reading], Lag]:
    """A sweep from its first trial to its last, read when so many trials have ended (`at`)."""
    watch, lag, readings = Stopwatch(), Lag(), list[Reading]()
    Ledger.create(folder, "scale", {"file": loaded.file.to_json()}).close()
    with TimedLedger.open(folder) as ledger:
        ledger.watch = watch
        ledger.append(Opened(fence=ledger.claim(), host="h", pid=1, code_digest="", data_digest="", environment={}))
        pool = TrialPool(any_lost=lambda _: False)
        proxies = Proxies(pool, watch)
        search = TimedSearch(search_of(loaded.space, loaded.file, ledger.history.trials), watch)
        driver = Driver(ledger, loaded.file, search, slots, proxies)
        workers = [asyncio.create_task(work(pool, slot, RUNGS, trained)) for slot in range(slots)]
        writer = asyncio.create_task(mirror(ledger, tracking, watch, lag)) if tracking else None
        while not _moved_on(driver, proxies):
            if len(readings) < len(at) and proxies.ended >= at[len(readings)]:
                readings.append(_reading(proxies.ended, watch))
            proxies.changed.clear()
            await proxies.changed.wait()
        readings.append(_reading(proxies.ended, watch))
        if writer:
            writer.cancel()
        await pool.close("done")
        await asyncio.gather(*workers)
    return readings, lag


def _moved_on(driver: Driver, proxies: Proxies) -> bool:
    """Start what can be started, as Tune asks for it; whether all is done."""
    with proxies.watch.of("scheduler"):
        while (job := driver.next_trial()) is not None:
            proxies.start(driver, job)
        return driver.finished


def _reading(trials: int, watch: Stopwatch) -> Reading:
    wall_s, cpu_s = watch.read()
    rss = psutil.Process().memory_info().rss
    return Reading(trials, wall_s, cpu_s, asyncio.get_running_loop().time(), rss)
