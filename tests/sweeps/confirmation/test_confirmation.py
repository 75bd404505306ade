"""A confirmation from its ledger to the command line, with everything real but the slots."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from search_spaces.sweep_file import SweepFile
from sweeps.cli import app
from sweeps.confirmation import plan
from sweeps.confirmation.replication import Replication
from sweeps.confirmation.report import confirmed
from sweeps.driver import Driver
from sweeps.events import Opened
from sweeps.ids import check_id
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.slots.records import Job
from sweeps.tracking.of_sweep import tracking
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import facts, run_out
from trainables.outcomes import Outcome, Report

ACCURACY, COST = "transfer/knn_top1", "compute/cost_s"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def noisy(job: Job, report: Report) -> Outcome:
    """`formula`, and noise of the seed, which the sweep's own trials all share; seed 0 is a lucky one."""
    outcome = formula(job, report)
    noise = 0.05 if job.config["seed"] == 0 else 0.01 * np.random.default_rng(job.config["seed"]).standard_normal()
    metrics = {ACCURACY: outcome.metrics[ACCURACY] + noise, f"test/{ACCURACY}": 0.3}
    return replace(outcome, metrics=metrics)


def swept(storage: Path) -> None:
    slot = PlainSlot(noisy)
    with driving(storage / "smoke", smoke("budget.trials=16", "stop={name: none}"), slot) as driver:
        run_out(driver, slot)
        driver.ledger.append(stories.closed(1))


def begun(storage: Path, seeds: int = 4) -> str:
    with Ledger.open(storage / "smoke") as ledger:
        return plan.create(ledger, Results(str(storage)), seeds)


def replicate(storage: Path, trials: int | None = None) -> None:
    """A driver of the confirmation, until its end or for so many trials."""
    slot = PlainSlot(noisy)
    with Ledger.open(storage / "smoke-confirm") as ledger:
        fence = ledger.claim()
        ledger.append(Opened(fence=fence, host="", pid=1, code_digest="c", data_digest="d", environment={}))
        search = Replication(ledger.spec[plan.CONFIRMS], plan.aims_of(ledger.spec))
        driver = Driver(ledger, SweepFile.model_validate(ledger.spec["file"]), search, 1, slot)
        run_out(driver, slot, trials)
        if trials is None:
            ledger.append(stories.closed(fence))
        else:
            driver.next_trial()  # planned, handed out, and then the driver is gone


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep and its confirmation."""
    storage = tmp_path_factory.mktemp("results")
    swept(storage)
    begun(storage)
    replicate(storage)
    return storage


@pytest.mark.parametrize("cut", [2, 7, 20])
def test_a_confirmation_that_was_killed_trains_the_same_trials(storage: Path, tmp_path: Path, cut: int) -> None:
    swept(tmp_path)
    begun(tmp_path)
    replicate(tmp_path, cut)
    replicate(tmp_path)
    assert facts(tmp_path / "smoke-confirm") == facts(storage / "smoke-confirm")


def test_every_point_is_trained_as_it_was_but_for_its_seed_and_to_its_end(storage: Path) -> None:
    with Ledger.open(storage / "smoke") as sweep, Ledger.open(storage / "smoke-confirm") as confirmation:
        before, after = History.of(sweep.events()).trials, History.of(confirmation.events()).trials
        points = len(confirmation.spec[plan.CONFIRMS]["points"])
    assert len(after) <= 4 * points
    seeds = [trial.config["seed"] for trial in after.values()]
    assert len(set(seeds)) == len(seeds)
    assert 0 not in seeds
    for trial in after.values():
        original = before[trial.parameters["trial"]]
        assert {**trial.config, "seed": 0} == original.config
        assert (trial.state, trial.compute[COST]) == ("complete", original.compute[COST])


def test_the_luck_of_the_sweep_is_gone_from_what_is_confirmed(storage: Path) -> None:
    with Ledger.open(storage / "smoke") as sweep:
        confirmation = confirmed(sweep, Results(str(storage)))
    assert confirmation is not None
    assert sum(point.was_on_front for point in confirmation.points) >= 3
    costs = [point.trial.metrics[COST] for point in confirmation.points]
    assert costs == sorted(costs)
    for point in confirmation.points:
        low, high = point.intervals[ACCURACY]
        assert low < point.trial.metrics[ACCURACY] < high
        assert list(point.intervals) == [ACCURACY], "planned cost is exact"
        assert point.trial.metrics[ACCURACY] == pytest.approx(point.swept[ACCURACY] - 0.05, abs=0.02)
        assert 0 <= point.chance <= 1
    assert 0 < confirmation.hypervolume[0] < confirmation.hypervolume[1]


def test_best_takes_confirmed_points_and_says_so(storage: Path, tmp_path: Path) -> None:
    summary = json.loads(invoke("confirm", "smoke", "--storage", storage, "--json").stdout)
    best = json.loads(invoke("best", "smoke", "--storage", storage, "--json").stdout)
    point = next(point for point in summary["points"] if point["trial"] == best["trial"])
    assert best["confirmed"]["front_probability"] == point["front_probability"] >= 0.5
    assert best["metrics"] == point["metrics"]
    assert "confirmed by" in invoke("best", "smoke", "--storage", storage).stdout
    swept(tmp_path)
    assert json.loads(invoke("best", "--storage", tmp_path, "--json").stdout)["confirmed"] is None
    said = invoke("best", "--storage", tmp_path).stdout
    assert f"not confirmed: python -m sweeps confirm smoke --storage {tmp_path}" in said


def test_a_confirmation_named_or_newest_stands_for_its_sweep_where_a_front_is_meant(storage: Path) -> None:
    whole = invoke("front", "smoke", "--storage", storage, "--json").stdout
    assert any(record["confirmed"] for record in json.loads(whole))
    assert invoke("front", "smoke-confirm", "--storage", storage, "--json").stdout == whole
    assert invoke("front", "--storage", storage, "--json").stdout == whole
    assert "P(front)" in invoke("front", "--storage", storage).stdout
    status = json.loads(invoke("status", "smoke-confirm", "--storage", storage, "--json").stdout)
    assert (status["state"], status["front"]) == ("done", []), "a lone seed stands on no front, here or in MLflow"
    assert "best" not in invoke("status", "smoke-confirm", "--storage", storage).stdout
    with Ledger.open(storage / "smoke-confirm") as ledger:
        mirror = tracking(ledger.sweep, ledger.spec, Results(str(storage)))
    assert "python -m sweeps confirm smoke" in mirror.description


def test_what_cannot_be_confirmed_is_refused(tmp_path: Path) -> None:
    swept(tmp_path)
    said = invoke("confirm", "smoke", "--storage", tmp_path, "--json")
    assert said.exit_code == 2
    assert "no two fresh seeds" in said.stderr
    changed = invoke("confirm", "smoke", "--storage", tmp_path)
    assert changed.exit_code == 2
    assert "a sweep keeps its data" in changed.stderr
    assert not (tmp_path / "smoke-confirm").exists()
    begun(tmp_path)
    assert "--seeds 4" in invoke("confirm", "smoke", "--storage", tmp_path, "--seeds", "9").stderr
    with Ledger.open(tmp_path / "smoke") as ledger, Ledger.open(tmp_path / "smoke") as driver:
        driver.claim()
        with pytest.raises(Refusal, match="is running"):
            plan.create(ledger, Results(str(tmp_path)), 4)


def test_a_confirmation_of_another_sweep_of_the_same_name_is_not_taken_for_one(storage: Path, tmp_path: Path) -> None:
    swept(tmp_path)
    (tmp_path / "smoke-confirm").mkdir()
    (tmp_path / "smoke-confirm" / "ledger.db").write_bytes((storage / "smoke-confirm" / "ledger.db").read_bytes())
    refused = invoke("best", "smoke", "--storage", tmp_path)
    assert refused.exit_code == 2
    assert "Move it away" in refused.stderr


def test_ids_of_confirmations_are_ids_and_keep_the_time() -> None:
    assert plan.confirmation_id("digits") == "digits-confirm"
    long = plan.confirmation_id("x" * 47 + "-20261122-191500")
    assert check_id(long).endswith("-20261122-191500-confirm")
    assert len(long) == 63
