"""A sweep whose slots are of several classes: each trial is suggested, recorded and submitted for the one it fits."""

from pathlib import Path

from sweeps.audit import audit
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.slots.records import Job
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from trainables.config import TrialConfig
from trainables.metrics import PEAK_BYTES

#: Of the shipped smoke sweep's trials, the smallest and the largest need 0.09 and 0.44 MB of a worker.
SMALL_GB, PAIR_GB = 0.00015, 0.00018
CLASSES = (
    f"resources.classes={{pair: {{slots: 1, workers: 2, memory_gb: {PAIR_GB}}}, "
    f"small: {{slots: 2, memory_gb: {SMALL_GB}}}}}"
)


def trained(folder: Path, *overrides: str) -> list[Job]:
    """The jobs of a sweep to its end, in slots that hold everything."""
    jobs = []
    with driving(
        folder, smoke("budget.trials=12", "search.startup_trials=12", *overrides), slot := PlainSlot(formula)
    ) as driver:
        while (job := driver.next_trial()) is not None:
            jobs.append(job)
            slot.run(driver, job)
        assert driver.finished
    return jobs


def test_each_trial_is_for_the_smallest_class_that_holds_it_and_one_that_none_holds_is_not_drawn(
    tmp_path: Path,
) -> None:
    jobs = trained(tmp_path, CLASSES)
    with Ledger.open(tmp_path) as ledger:
        trials = History.of(ledger.events()).trials
        assert len(jobs) == len(trials) == 12
        for job in jobs:
            config, peak = TrialConfig.model_validate(trials[job.trial].config), trials[job.trial].compute[PEAK_BYTES]
            assert job.config == trials[job.trial].config
            assert (config.workers, peak <= 1e9 * (SMALL_GB, PAIR_GB)[job.slot_class]) == (1 + job.slot_class, True)
        assert {job.slot_class for job in jobs} == {0, 1}
        assert audit(ledger).passed
    largest = max(trial.config["memory"]["size"] for trial in trials.values())
    assert largest < max(job.config["memory"]["size"] for job in trained(tmp_path / "free"))


def test_a_resumed_trial_goes_to_the_same_class(tmp_path: Path) -> None:
    loaded = smoke("budget.trials=12", "search.startup_trials=12", CLASSES)
    with driving(tmp_path, loaded, PlainSlot(formula), at_once=12) as driver:
        begun = [driver.next_trial() for _ in range(12)]
    with driving(tmp_path, loaded, PlainSlot(formula), at_once=12) as driver:
        again = [driver.next_trial() for _ in range(12)]
    assert [(job.trial, job.config, job.slot_class) for job in again if job] == [
        (job.trial, job.config, job.slot_class) for job in begun if job
    ]
