"""What the driver begins, and what it leaves, within a budget. Everything real but the slots and the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from search_spaces.sweep_file import LoadedSweep
from sweeps.driver import Driver, utc_now
from sweeps.events import Budgeted, Ended, Lost, Reported, Started
from sweeps.ledger.history import TrialRecord
from sweeps.search.planning import planned_compute, search_of
from sweeps.slots.records import Job
from sweeps.spending import begun, used
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import run_out
from trainables.config import TrialConfig

COST = "compute/cost_s"
RANDOM = ("search={name: random}", "stop={name: none}")


class Slot(PlainSlot):
    """Remembers what it was told of lost trials."""

    def __init__(self) -> None:
        super().__init__(formula)
        self.retried: list[tuple[int, int]] = []
        self.abandoned: dict[int, str] = {}

    def retry(self, trial: int, attempt: int) -> None:
        self.retried.append((trial, attempt))

    def abandon(self, trial: int, why: str) -> None:
        self.abandoned[trial] = why


def costs(trials: int) -> list[float]:
    """What the first trials of the random search cost."""
    loaded, draws = smoke(*RANDOM, f"budget.trials={trials}"), []
    search = search_of(loaded.space, loaded.file)
    for number in range(trials):
        suggestion = search.ask(number)
        assert suggestion
        draws.append(planned_compute(TrialConfig.model_validate(suggestion.config), loaded.file)[COST])
    return draws


COSTS = costs(6)


def capped(cost_s: float, *more: str) -> LoadedSweep:
    return smoke(*RANDOM, f"budget={{cost_s: {cost_s!r}}}", *more)


def start(driver: Driver, job: Job | None) -> Job:
    assert job
    driver.take_in(Started(trial=job.trial, attempt=job.attempt, slot=0, slot_trials=0, workers=[]))
    return job


def report(driver: Driver, job: Job) -> None:
    metrics = {"transfer/knn_top1": 0.5}
    driver.take_in(Reported(trial=job.trial, attempt=job.attempt, rung=0, step=6, fidelity=0.5, metrics=metrics))


def end(driver: Driver, job: Job) -> None:
    metrics = {"transfer/knn_top1": 0.5}
    driver.take_in(Ended(trial=job.trial, attempt=job.attempt, state="complete", fidelity=1.0, metrics=metrics))


def test_a_cap_that_is_the_exact_total_bears_every_trial_and_no_more(tmp_path: Path) -> None:
    slot = Slot()
    with driving(tmp_path, capped(sum(COSTS[:5])), slot) as driver:
        run_out(driver, slot)
        assert driver.ledger.history.counts()["complete"] == 5
        assert driver.finished
        assert driver.cut == []
        assert begun(driver.ledger.history, COST) == pytest.approx(sum(COSTS[:5]), rel=1e-12)


def test_a_budget_too_small_for_any_trial_ends_the_sweep_at_once(tmp_path: Path) -> None:
    slot = Slot()
    with driving(tmp_path, capped(COSTS[0] * 0.99), slot) as driver:
        run_out(driver, slot)
        assert driver.finished
        assert driver.ledger.history.trials == {}


def test_a_suggestion_without_room_waits_for_what_another_trial_leaves(tmp_path: Path) -> None:
    cap = COSTS[0] + COSTS[1] / 2 + COSTS[2]
    with driving(tmp_path, capped(cap), Slot(), at_once=3) as driver:
        first, second = start(driver, driver.next_trial()), start(driver, driver.next_trial())
        assert driver.next_trial() is None
        assert not driver.finished
        assert list(driver.ledger.history.trials) == [0, 1], "what waits is on no record"
        report(driver, first)
        assert driver.next_trial() is None
        driver.take_in(Ended(trial=1, attempt=second.attempt, state="failed", failure="nan", message="nan"))
        third = driver.next_trial()
        assert third is not None
        assert third.trial == 2
        assert driver.next_trial() is None
        end(driver, first)
        assert not driver.finished


def left_and_capped(folder: Path, cap: float) -> None:
    """Two trials, the first ended, the second left in its first half by a driver that was killed."""
    slot = Slot()
    with driving(folder, capped(cap), slot) as driver:
        run_out(driver, slot, 1)
        start(driver, driver.next_trial())


def test_a_trial_that_cannot_be_finished_any_more_stays_and_a_larger_budget_finishes_it(tmp_path: Path) -> None:
    cap = COSTS[0] + 1.4 * COSTS[1]  # its first half has been begun already
    left_and_capped(tmp_path, cap)
    slot = Slot()
    with driving(tmp_path, capped(cap), slot) as driver:
        assert driver.next_trial() is None
        assert driver.finished
        assert driver.cut == [1]
        assert driver.ledger.history.trials[1].state == "waiting"
        assert begun(driver.ledger.history, COST) <= cap, "nothing was charged for what was not begun"
    with driving(tmp_path, capped(cap), slot) as driver:
        driver.ledger.append(Budgeted(fence=3, budget={"cost_s": COSTS[0] + 1.5 * COSTS[1]}))
    with driving(tmp_path, capped(cap), slot) as driver:
        run_out(driver, slot)
        assert driver.cut == []
        assert driver.ledger.history.trials[1].state == "complete"


def test_a_left_trial_that_fits_is_finished_though_one_before_it_does_not(tmp_path: Path) -> None:
    cap = 2 * (COSTS[0] + COSTS[1])
    with driving(tmp_path, capped(cap), Slot(), at_once=2) as driver:
        jobs = [start(driver, driver.next_trial()) for _ in range(2)]
        cheap = min(jobs, key=lambda job: COSTS[job.trial])
        report(driver, cheap)
    spent = sum(COSTS[job.trial] / 2 for job in jobs) + COSTS[cheap.trial] / 2
    tight = capped(spent + COSTS[cheap.trial] / 2)
    slot = Slot()
    with driving(tmp_path, tight, slot, at_once=2) as driver:
        again = driver.next_trial()
        assert again is not None
        assert again.trial == cheap.trial
        assert (driver.next_trial(), driver.finished) == (None, False)
        start(driver, again)
        end(driver, again)
        assert (driver.next_trial(), driver.finished) == (None, True)
        assert driver.cut == [job.trial for job in jobs if job is not cheap]


@pytest.mark.parametrize(("room", "again"), [(1.0, True), (0.98, False)])
def test_a_lost_worker_costs_another_attempt_only_where_there_is_room_for_it(
    tmp_path: Path, room: float, again: bool
) -> None:
    slot = Slot()
    with driving(tmp_path, capped(room * 1.5 * COSTS[0]), slot) as driver:
        job = start(driver, driver.next_trial())
        for _ in range(2):  # a proxy that is restarted tells everything twice
            driver.take_in(Lost(trial=0, attempt=1))
        trial = driver.ledger.history.trials[0]
        assert trial.granted == (2 if again else 1)
        assert begun(driver.ledger.history, COST) == pytest.approx(COSTS[0] * (1.0 if again else 0.5))
        assert slot.retried == ([(0, 2), (0, 2)] if again else [])
        assert again or "budget.cost_s has no room for another attempt" in slot.abandoned[0]
        assert job.attempt == 1


def test_a_stopped_trial_whose_worker_is_lost_is_charged_for_nothing_more(tmp_path: Path) -> None:
    slot = Slot()
    loaded = smoke("search={name: random}", "stop={name: non_dominated, keep: 0.1, minimum: 2}", "budget={cost_s: 9.0}")
    with driving(tmp_path, loaded, slot) as driver:
        for number in range(8):
            job = start(driver, driver.next_trial())
            metrics = {"transfer/knn_top1": 1.0 - number / 10}
            ids = {"trial": job.trial, "attempt": 1, "rung": 0}
            driver.take_in(Reported(**ids, step=6, fidelity=0.5, metrics=metrics))
            if slot.verdicts[job.trial, 0] == "stop":
                driver.take_in(Lost(trial=job.trial, attempt=1))
                trial: TrialRecord = driver.ledger.history.trials[job.trial]
                assert (trial.begun, trial.granted, slot.retried, slot.abandoned) == (0.5, 1, [], {})
                return
            end(driver, job)
    pytest.fail("nobody was stopped")


@contextmanager
def at_times(folder: Path, loaded: LoadedSweep, slot: Slot) -> Iterator[tuple[Driver, list[datetime]]]:
    """A driver, and its clock: the last of the times is now."""
    with driving(folder, loaded, slot) as driver:
        times = [utc_now()]
        driver.now = lambda: times[-1]
        yield driver, times


@pytest.mark.parametrize(
    "budget",
    ["{wall_hours: 1}", "{device_hours: 1}", "{money: 2, price_per_device_hour: 2}", "{trials: 9, wall_hours: 1}"],
)
def test_no_trial_is_begun_that_would_end_after_the_deadline(tmp_path: Path, budget: str) -> None:
    slot = Slot()
    loaded = smoke(*RANDOM, f"budget={budget}")
    with at_times(tmp_path, loaded, slot) as (driver, times):
        run_out(driver, slot, 2)
        for trial in driver.ledger.history.trials.values():
            if trial.ended:  # as if each had taken ten minutes
                trial.attempts[0].started = trial.ended - timedelta(minutes=10)
        times.append(times[0] + timedelta(minutes=45))
        run_out(driver, slot, 1)
        times.append(times[0] + timedelta(minutes=55))
        assert driver.next_trial() is None
        assert driver.finished
        assert driver.cut == []
        assert len(driver.ledger.history.trials) == 3
        spent = used(loaded.file.budget, driver.ledger.history, driver.now())
        assert all(spent[cap] <= limit for cap, limit in loaded.file.budget.caps().items())
