"""The driver, with everything real but the slots."""

import math
from pathlib import Path
from typing import Any

import pytest

from sweeps.driver import Driver
from sweeps.events import Ended, Planned, Reported, Started
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.outcomes import Verdict

TWELVE = ("budget.trials=12",)


def run_out(driver: Driver, slot: PlainSlot, trials: int | None = None) -> None:
    done = 0
    while trials is None or done < trials:
        job = driver.next_trial()
        if job is None:
            assert driver.finished
            return
        slot.run(driver, job)
        done += 1


def facts(folder: Path) -> list[tuple[Any, ...]]:
    with Ledger.open(folder) as ledger:
        trials = History.of(ledger.events()).trials.values()
        return [(t.number, t.config, t.state, t.metrics, t.fidelity) for t in trials]


def test_a_sweep_runs_to_its_budget_and_every_trial_ends_once(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(*TWELVE), slot) as driver:
        run_out(driver, slot)
        counts = driver.ledger.history.counts()
    assert sum(counts.values()) == 12
    assert counts["complete"] + counts["pruned"] == 12
    assert counts["complete"] >= 4
    assert slot.forgotten == list(range(12))
    assert counts["pruned"] >= 1, "the rule of smoke.yaml must have stopped somebody"


@pytest.mark.parametrize("search", ["tpe", "random"])
@pytest.mark.parametrize("left_after", range(1, 12, 3))
def test_a_driver_that_takes_over_goes_on_as_if_it_had_always_been_there(
    tmp_path: Path, search: str, left_after: int
) -> None:
    loaded = smoke(*TWELVE, f"search={{name: {search}, seed: 3}}")
    slot = PlainSlot(formula)
    with driving(tmp_path / "twin", loaded, slot) as driver:
        run_out(driver, slot)
    with driving(tmp_path / "swept", loaded, slot) as driver:
        run_out(driver, slot, left_after)
        driver.next_trial()  # planned, handed out, and then the driver is gone
    with driving(tmp_path / "swept", loaded, slot) as driver:
        run_out(driver, slot)
    assert facts(tmp_path / "swept") == facts(tmp_path / "twin")


def test_an_unfinished_trial_comes_first_as_a_new_attempt(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot, at_once=2) as driver:
        first, second = driver.next_trial(), driver.next_trial()
        assert first is not None
        assert second is not None
        driver.take_in(Started(trial=first.trial, attempt=1, slot=0, slot_trials=0, workers=[]))
    with driving(tmp_path, smoke(), slot, at_once=2) as driver:
        again, never_started = driver.next_trial(), driver.next_trial()
        assert again is not None
        assert never_started is not None
        assert (again.trial, again.attempt) == (first.trial, 2)
        # nothing says that its first attempt began, and nothing that it did not
        assert (never_started.trial, never_started.attempt) == (second.trial, 2)
        assert not driver.finished


def test_no_more_trials_are_under_way_than_there_are_slots(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot, at_once=2) as driver:
        jobs = [driver.next_trial() for _ in range(3)]
        assert jobs[2] is None
        assert not driver.finished
        assert jobs[0] is not None
        slot.run(driver, jobs[0])
        assert driver.next_trial() is not None


def test_the_next_trial_waits_in_the_pool_while_every_slot_is_taken(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot, at_once=2) as driver:
        first, second, none, still_none = (driver.next_trial() for _ in range(4))
        assert first is not None
        assert second is not None
        assert (none, still_none) == (None, None)
        assert [job.trial for job in slot.ahead] == [2], "one is ahead, and submitted once"
        assert driver.ledger.history.trials[2].state == "waiting"
        slot.run(driver, first)
        assert driver.next_trial() == slot.ahead[0]


def test_a_serial_sweep_has_nothing_ahead(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot) as driver:
        assert driver.next_trial() is not None
        assert driver.next_trial() is None
        assert slot.ahead == []
        assert list(driver.ledger.history.trials) == [0]


def test_a_trial_that_waited_in_the_pool_is_the_next_after_a_resume(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot, at_once=2) as driver:
        jobs = [driver.next_trial() for _ in range(3)]
        for job in jobs[:2]:
            assert job is not None
            slot.run(driver, job)
    with driving(tmp_path, smoke(), slot, at_once=2) as driver:
        assert not driver.finished
        again = driver.next_trial()
        assert again is not None
        assert (again.trial, again.attempt) == (slot.ahead[0].trial, 2)


def test_a_sweep_with_a_trial_ahead_is_not_finished_and_keeps_to_its_budget(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke("budget.trials=3"), slot, at_once=2) as driver:
        jobs = [driver.next_trial() for _ in range(3)]
        for job in jobs[:2]:
            assert job is not None
            slot.run(driver, job)
        early = driver.finished
        run_out(driver, slot)
        assert (early, driver.finished) == (False, True)
        assert driver.ledger.history.counts()["waiting"] == 0
        assert len(driver.ledger.history.trials) == 3


def test_a_rung_told_again_gets_the_verdict_it_was_given(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(*TWELVE), slot) as driver:
        run_out(driver, slot)
        pruned = next(t for t in driver.ledger.history.trials.values() if t.state == "pruned")
        slot.verdicts.clear()
        told = driver.ledger.history.trials[pruned.number].reports[0]
        better = told.model_copy(update={"metrics": {"transfer/knn_top1": 1.0}, "verdict": None})
        driver.take_in(better)
    assert slot.verdicts == {(pruned.number, 0): "stop"}


def test_the_verdict_is_on_record_before_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot) as driver:
        on_record: list[bool] = []

        def answer(trial: int, rung: int, _: Verdict) -> None:
            on_record.append(rung in driver.ledger.history.trials[trial].reports)

        monkeypatch.setattr(slot, "answer", answer)
        job = driver.next_trial()
        assert job is not None
        driver.take_in(Started(trial=0, attempt=1, slot=0, slot_trials=0, workers=[]))
        metrics = {"transfer/knn_top1": 0.5}
        driver.take_in(Reported(trial=0, attempt=1, rung=0, step=6, fidelity=0.5, metrics=metrics))
    assert on_record == [True]


@pytest.mark.parametrize("accuracy", [None, math.nan, math.inf])
def test_a_complete_trial_without_a_goal_has_failed_and_the_sweep_goes_on(
    tmp_path: Path, accuracy: float | None
) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot) as driver:
        assert driver.next_trial() is not None
        driver.take_in(Started(trial=0, attempt=1, slot=0, slot_trials=0, workers=[]))
        metrics = {} if accuracy is None else {"transfer/knn_top1": accuracy}
        driver.take_in(Ended(trial=0, attempt=1, state="complete", step=12, fidelity=1.0, metrics=metrics))
        trial = driver.ledger.history.trials[0]
        assert (trial.state, trial.failure) == ("failed", "user_error")
        assert trial.message is not None
        assert "transfer/knn_top1" in trial.message
        run_out(driver, slot)
        assert driver.ledger.history.counts()["failed"] == 1


def test_a_grid_ends_the_sweep_before_its_budget(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    loaded = smoke("budget.trials=1000", "search={name: grid, points: 2}", "stop={name: none}")
    points = list(loaded.space.enumerate(2))
    with driving(tmp_path, loaded, slot) as driver:
        run_out(driver, slot)
        assert driver.finished
        assert driver.ledger.history.counts()["complete"] == len(points)


def test_a_planned_trial_carries_its_full_cost_and_what_the_sampler_knew(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(), slot) as driver:
        run_out(driver, slot)
        planned = [(seq, event) for seq, _, event in driver.ledger.events() if isinstance(event, Planned)]
    for seq, event in planned:
        config = TrialConfig.model_validate(event.config)
        assert event.compute == planned_metrics(config)
        assert event.config_digest == config.digest()
        assert event.told == seq - 1
