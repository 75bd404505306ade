"""The sweep whose cost `benchmarks.scale` measures: nobody waits for simulated time, and every trial ends once."""

import asyncio
import time
from collections import Counter
from pathlib import Path

from benchmarks.explicit_clock import run
from benchmarks.scale import claims, formula
from benchmarks.simulated_slots import TRIAL_S, Reading, simulated
from search_spaces.sweep_file import load
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger


def test_the_clock_moves_by_what_is_slept_and_nobody_waits() -> None:
    async def slept() -> list[float]:
        loop, at = asyncio.get_running_loop(), list[float]()

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds)
            at.append(loop.time())

        await asyncio.gather(sleep(7200), sleep(3600), sleep(0.5))
        return at

    began = time.monotonic()
    assert [round(at, 6) for at in run(slept())] == [0.5, 3600, 7200]
    assert time.monotonic() - began < 3600


def test_every_trial_of_a_simulated_sweep_ends_once_and_takes_simulated_time(tmp_path: Path) -> None:
    loaded = load(Path("search_spaces/digits.yaml"), ["search={name: random}", "budget={trials: 30, cost_s: 1e9}"])
    readings, _ = run(simulated(tmp_path / "scale", loaded, 10, formula, [10, 20], None))
    with Ledger.open(tmp_path / "scale") as ledger:
        events = Counter(event.kind for _, _, event in ledger.events())
        history = History.of(ledger.events())
    assert (events["planned"], events["started"], events["ended"]) == (30, 30, 30)
    assert history.counts()["pruned"] > 0, "the scheduler had something to say"
    assert [reading.trials for reading in readings] == [10, 20, 30]
    assert readings[-1].simulated_s > TRIAL_S
    assert set(readings[-1].cpu_s) == {"dispatch", "scheduler", "ledger", "search"}


def test_what_grows_faster_than_n_log_n_or_takes_too_long_is_no_claim() -> None:
    def reading(trials: int, seconds: float) -> Reading:
        parts = {"scheduler": seconds, "ledger": 0.0, "dispatch": 0.0, "search": 1e9}
        return Reading(trials, parts, parts, 0.0, 0)

    assert all(claims([reading(1_000, 10.0), reading(10_000, 133.0)]).values())
    assert list(claims([reading(1_000, 10.0), reading(10_000, 201.0)]).values()) == [False, False]
    assert list(claims([reading(1_000, 1.0), reading(10_000, 20.0)]).values()) == [True, False], "n squared, say"
