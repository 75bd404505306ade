"""A trial ahead of its proxy, however the messages of driver, proxies and workers overtake each other."""

import random
from collections import deque
from collections.abc import Callable

import pytest

from sweeps.events import Ended, Reported, SlotEvent, Worker
from sweeps.slots.records import Job
from sweeps.slots.state import PoolState

WORKERS = [Worker(rank=0, world_size=1, pid=7, host="host", node_id="node", experiment="slot-0")]
TRIALS = 12


class Proxy:
    trial: int | None = None
    submitted = False
    heard = 0


class Play:
    """Driver, proxies, slots and a pool; `step` lets any of them act. Messages of one sender keep their order."""

    def __init__(self, seed: int, at_once: int, slots: int) -> None:
        self.random, self.pool = random.Random(seed), PoolState()
        self.proxies = [Proxy() for _ in range(at_once)]
        self.sent: deque[Callable[[], None]] = deque()  # by the driver, to the pool
        self.heard: deque[tuple[Proxy, SlotEvent]] = deque()  # by the driver, from proxies
        self.training: dict[int, Reported | None] = dict.fromkeys(range(slots))
        self.next, self.ended = 0, set[int]()
        self.ahead: list[int] = []
        for slot in range(slots):
            self.pool.hello(slot, WORKERS)

    def step(self) -> None:
        slot, proxy = self.random.choice(list(self.training)), self.random.choice(self.proxies)
        acts: list[Callable[[], None]] = [self.tune_asks, self.deliver, self.hear]
        acts += [lambda: self.relay(proxy), lambda: self.work(slot)]
        self.random.choice(acts)()

    def tune_asks(self) -> None:
        idle = next((proxy for proxy in self.proxies if proxy.trial is None), None)
        if idle is not None and (self.ahead or self.next < TRIALS):
            idle.trial, idle.submitted, idle.heard = self.ahead.pop() if self.ahead else self.planned(), False, 0
        elif idle is None and not self.ahead and self.next < TRIALS:
            job = Job(self.planned(), {})
            self.ahead.append(job.trial)
            self.sent.append(lambda: self.pool.submit_ahead(job))

    def planned(self) -> int:
        self.next += 1
        return self.next - 1

    def deliver(self) -> None:
        if self.sent:
            self.sent.popleft()()

    def hear(self) -> None:
        if not self.heard:
            return
        proxy, event = self.heard.popleft()
        if isinstance(event, Reported):
            self.sent.append(lambda: self.pool.answer(event.trial, event.rung, "continue"))
        if isinstance(event, Ended):
            self.ended.add(event.trial)
            proxy.trial = None
            self.sent.append(lambda: self.pool.forget(event.trial))

    def relay(self, proxy: Proxy) -> None:
        if proxy.trial is None or any(teller is proxy for teller, _ in self.heard):
            return
        if not proxy.submitted:
            self.pool.submit(Job(proxy.trial, {}))
            proxy.submitted = True
        elif news := self.pool.events(proxy.trial, proxy.heard):
            proxy.heard += 1
            self.heard.append((proxy, news[0]))

    def work(self, slot: int) -> None:
        report = self.training[slot]
        if report is None:
            taken = self.pool.take(slot, 1) if self.pool.ready(slot, 1) else None
            if taken:
                report = Reported(trial=taken[0].trial, attempt=1, rung=0, step=1, fidelity=0.5, metrics={})
                self.pool.report(report)
                self.training[slot] = report
        elif self.pool.verdict(report):
            self.pool.end(Ended(trial=report.trial, attempt=1, state="complete"))
            self.training[slot] = None


@pytest.mark.parametrize(("at_once", "slots"), [(2, 2), (3, 3), (2, 1)])
def test_every_trial_ends_in_any_order_of_messages(at_once: int, slots: int) -> None:
    for seed in range(40):
        play = Play(seed, at_once, slots)
        steps = 0
        while len(play.ended) < TRIALS and steps < 5000:
            play.step()
            steps += 1
        assert play.ended == set(range(TRIALS)), (seed, play.pool.snapshot())
