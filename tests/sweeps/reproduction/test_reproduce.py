"""Trials again: what is the same to the last bit, what is not, and what is refused. Processes and MLflow are real."""

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from typer.testing import CliRunner, Result

from sweeps.cli import app
from sweeps.events import Ended, Event, Opened, Planned, Reported
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.refusals import Unsafe
from sweeps.reproduction.process import Request, run_again
from sweeps.results import Results
from tests.sweeps.finished import copy_changed
from tests.sweeps.reproduction.checkout import Checkout
from tests.trainables.tasks.made import vectors
from trainables.metrics import DEVICE_SECONDS

ROOT = Path(__file__).parents[3]

#: Modules' files, and what a test appends to or changes in them.
REMARK = "\n# a remark that changes the digest and nothing else\n"


@pytest.fixture(scope="module")
def storage(finished: Path) -> Path:
    return finished


def history(storage: Path, sweep: str = "smoke") -> History:
    with Ledger.open(storage / sweep) as ledger:
        return History.of(ledger.events())


def first(storage: Path, state: str) -> int:
    return next(number for number, trial in history(storage).trials.items() if trial.state == state)


def reproduce(storage: Path, target: str, *options: str) -> tuple[Result, dict[str, Any]]:
    result = CliRunner().invoke(app, ["reproduce", target, "--storage", str(storage), "--json", *options])
    return result, json.loads(result.stdout) if result.stdout.startswith("{") else {}


def runs_below(storage: Path, run: Run) -> list[Run]:
    client = MlflowClient(tracking_uri=f"sqlite:///{storage}/mlflow.db")
    where = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    return list(client.search_runs([run.info.experiment_id], where))


def run_of(storage: Path, trial: int) -> Run:
    client = MlflowClient(tracking_uri=f"sqlite:///{storage}/mlflow.db")
    [experiment] = [each for each in client.search_experiments() if each.name == "contrastive-sweeps"]
    [run] = client.search_runs([experiment.experiment_id], f"tags.sweep = 'smoke' and tags.trial = '{trial}'")
    return run


def test_a_trial_that_is_trained_again_is_exact_and_says_so_everywhere(storage: Path) -> None:
    number = first(storage, "complete")
    run = run_of(storage, number)
    result, record = reproduce(storage, run.info.run_id)
    assert result.exit_code == 0, result.output
    assert (record["verdict"], record["differing"], record["same_platform"]) == ("exact", [], True)
    assert record["values"] > 60
    trial = history(storage).trials[number]
    assert record["digests"]["weights"] == [trial.weights_digest, trial.weights_digest]
    [kept] = (storage / "smoke" / "trials" / str(number) / "reproductions").rglob("reproduction.json")
    assert json.loads(kept.read_text()) == record
    for hidden in (storage, ROOT, Path.home(), DEVICE_SECONDS):
        assert str(hidden) not in kept.read_text()
    [below] = runs_below(storage, run)
    assert (below.data.tags["reproduction"], below.data.tags["reproduces"]) == ("exact", run.info.run_id)
    assert below.data.metrics["values/differing"] == 0
    assert run_of(storage, number).data.tags["reproduction"] == "exact"
    client = MlflowClient(tracking_uri=f"sqlite:///{storage}/mlflow.db")
    assert [file.path for file in client.list_artifacts(below.info.run_id)] == ["reproduction.json"]
    assert not list(storage.glob(".reproducing-*"))


def test_a_trial_that_was_stopped_is_stopped_again(storage: Path) -> None:
    result, record = reproduce(storage, f"smoke:{first(storage, 'pruned')}")
    assert (result.exit_code, record["verdict"]) == (0, "exact"), result.output


def test_one_ulp_in_one_metric_is_found(storage: Path) -> None:
    number = first(storage, "complete")

    def change(event: Event) -> Event:
        if isinstance(event, Reported) and (event.trial, event.rung) == (number, 0):
            loss = math.nextafter(event.metrics["train/loss"], math.inf)
            return event.model_copy(update={"metrics": {**event.metrics, "train/loss": loss}})
        return event

    copy_changed(storage, "smoke", "ulp", change)
    result, record = reproduce(storage, f"ulp:{number}")
    assert (result.exit_code, record["verdict"], len(record["differing"])) == (5, "failed", 1)
    assert record["first_difference"]["name"] == "train/loss"
    assert record["first_difference"]["step"] == 6
    table = CliRunner().invoke(app, ["reproduce", f"ulp:{number}", "--storage", str(storage)])
    assert table.exit_code == 5
    assert "failed (the same platform): train/loss at step 6 was" in " ".join(table.stdout.split())
    assert "not in MLflow" in table.stderr


def test_another_seed_is_found_at_the_first_rung_and_refused_where_only_the_config_says_it(storage: Path) -> None:
    number = first(storage, "complete")

    def changed(sealed: bool) -> Any:
        def change(event: Event) -> Event:
            if isinstance(event, Planned) and event.trial == number:
                config = {**event.config, "seed": 1}
                digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
                return event.model_copy(
                    update={"config": config, "config_digest": digest if sealed else event.config_digest}
                )
            return event

        return change

    copy_changed(storage, "smoke", "seed", changed(sealed=True))
    result, record = reproduce(storage, f"seed:{number}")
    assert (result.exit_code, record["first_difference"]["name"]) == (5, "train/loss")
    assert record["first_difference"]["step"] == 6
    copy_changed(storage, "smoke", "unsealed", changed(sealed=False))
    result, _ = reproduce(storage, f"unsealed:{number}")
    assert result.exit_code == 6
    assert "it was changed" in result.stderr


def test_one_byte_of_the_data_is_refused(storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sklearn.datasets as sets\n"
        "load = sets.load_digits\n"
        "def load_digits():\n    found = load()\n    found.images[0, 0, 0] += 1\n    return found\n"
        "sets.load_digits = load_digits\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result, _ = reproduce(storage, f"smoke:{first(storage, 'complete')}")
    assert result.exit_code == 6
    assert "a trial is reproduced on its own data" in result.stderr


def test_another_number_of_threads_is_another_platform(storage: Path) -> None:
    number = first(storage, "complete")
    result, record = reproduce(storage, f"smoke:{number}", "--threads", "2")
    assert (result.exit_code, record["verdict"]) == (0, "within tolerance"), result.output
    assert record["threads"] == [1, 2]
    assert not record["same_platform"]


@pytest.fixture
def elsewhere(storage: Path, tmp_path: Path) -> Checkout:
    """A checkout whose code has moved on; the sweep `patched` ran with what it had over its commit."""
    checkout = Checkout(tmp_path / "checkout", storage)
    loop = checkout.folder / "trainables" / "loop.py"
    committed = loop.read_text()
    loop.write_text(committed + REMARK)
    new = checkout.folder / "trainables" / "new.py"  # which git does not know
    new.write_text('"""Nobody imports it."""\n')
    opened = checkout.opened(storage / "patched")
    copy_changed(
        storage,
        "smoke",
        "patched",
        lambda event: event.model_copy(update=opened) if isinstance(event, Opened) else event,
    )
    new.unlink()
    planted = committed.replace(
        "self.config.optimizer.learning_rate_at(", "1.001 * self.config.optimizer.learning_rate_at("
    )
    assert planted != committed
    loop.write_text(planted)
    return checkout


def test_a_changed_line_of_code_does_not_matter_to_a_trial_that_has_its_own(storage: Path, elsewhere: Checkout) -> None:
    """The sweep ran with changes over a commit, one of them in a file that git did not know."""
    number = first(storage, "complete")
    code, record, said = elsewhere.reproduce(f"patched:{number}")
    assert (code, record["verdict"], record["differing"]) == (0, "exact", []), said
    assert record["code"].startswith("its own code, commit ")
    assert not [name for name in record["environment"] if name.startswith("git_")], "of a checkout that did not run"
    code, record, _ = elsewhere.reproduce(f"patched:{number}", "--current-code")
    assert (code, record["first_difference"]["name"], record["first_difference"]["step"]) == (5, "train/loss", 6)
    assert record["digests"]["code"][0] != record["digests"]["code"][1]
    [patch] = (storage / "patched" / "code").glob("*.patch")
    patch.write_bytes(patch.read_bytes().replace(b"a remark", b"A remark"))
    code, _, refused = elsewhere.reproduce(f"patched:{number}")
    assert code == 6
    assert "is not applied" in refused
    patch.unlink()
    code, _, refused = elsewhere.reproduce(f"patched:{number}")
    assert code == 2
    assert "Restore it" in refused


def test_damaged_data_are_refused_as_damage(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(900, 4)).astype(np.float32)
    data = vectors(tmp_path / "data", rows, np.arange(900) % 3)
    block = next((tmp_path / "data" / "train").glob("*.arrow"))
    content = bytearray(block.read_bytes())
    content[len(content) // 2] ^= 1
    block.write_bytes(content)
    config = {"task": {"name": "embeddings", "data": data}, "teacher": {"model": {"name": "stored"}}}
    request = Request({**config, "student": {"name": "adapter"}}, 0, 1, (), None, threads=1)
    with pytest.raises(Unsafe, match=r"has SHA-256 .* the manifest says"):
        run_again(request, ROOT, Results(str(tmp_path)))


def test_code_that_cannot_be_had_is_refused(storage: Path) -> None:
    number = first(storage, "complete")

    def change(event: Event) -> Event:
        if isinstance(event, Opened):
            environment = {**event.environment, "git_commit": "0" * 40}
            return event.model_copy(update={"code_digest": "1" * 64, "environment": environment})
        return event

    copy_changed(storage, "smoke", "gone", change)
    result, _ = reproduce(storage, f"gone:{number}")
    assert result.exit_code == 2
    assert "cannot be had here" in result.stderr


def test_seeds_show_how_far_results_are_apart(storage: Path) -> None:
    number = first(storage, "complete")
    result, record = reproduce(storage, f"smoke:{number}", "--seeds", "2")
    assert result.exit_code == 0, result.output
    assert len(set(record["seeds"])) == 2
    assert history(storage).trials[number].config["seed"] not in record["seeds"]
    accuracy = record["metrics"]["transfer/knn_top1"]
    assert accuracy["least"] <= accuracy["mean"] <= accuracy["most"]
    assert accuracy["recorded"] == history(storage).trials[number].metrics["transfer/knn_top1"]
    assert (
        json.loads((storage / "smoke" / "trials" / str(number) / "reproductions" / "seeds.json").read_text()) == record
    )
    below = [run for run in runs_below(storage, run_of(storage, number)) if run.data.tags["reproduction"] == "seeds"]
    assert below[0].data.metrics["transfer/knn_top1/mean"] == accuracy["mean"]


def test_on_another_platform_seeds_decide_where_the_tolerance_does_not(storage: Path) -> None:
    """Accuracy on record is another by a little, and by more than any seed makes it."""
    number = first(storage, "complete")

    def moved(by: float) -> Any:
        def change(event: Event) -> Event:
            if isinstance(event, Opened):
                return event.model_copy(update={"environment": {**event.environment, "cpu": "another one"}})
            if isinstance(event, Ended) and event.trial == number:
                accuracy = event.metrics["transfer/knn_top1"] + by
                return event.model_copy(update={"metrics": {**event.metrics, "transfer/knn_top1": accuracy}})
            return event

        return change

    copy_changed(storage, "smoke", "near", moved(by=1e-4))
    result, record = reproduce(storage, f"near:{number}", "--tolerance", "0")
    assert "training 5 fresh seeds" in result.stderr
    assert (result.exit_code, record["verdict"]) == (0, "within tolerance"), result.output
    assert record["environment"]["cpu"][0] == "another one"
    deviation = record["seed_deviations"]["transfer/knn_top1"]
    assert deviation > 0
    copy_changed(storage, "smoke", "far", moved(by=10 * deviation))
    shutil.copytree(
        storage / "near" / "trials" / str(number) / "reproductions",
        storage / "far" / "trials" / str(number) / "reproductions",
    )
    result, record = reproduce(storage, f"far:{number}", "--tolerance", "0")
    assert "fresh seeds" not in result.stderr
    assert (result.exit_code, record["first_difference"]["name"]) == (5, "transfer/knn_top1")


def test_a_trial_of_two_workers_is_trained_by_two_again(storage: Path) -> None:
    """What two workers gave, two workers give: the ledger holds what the first two said."""
    number = first(storage, "complete")
    config = {**history(storage).trials[number].config, "workers": 2}
    request = Request(config, number, 5, (), None, threads=1)
    once = run_again(request, ROOT, Results(str(storage)))
    assert once.outcome is not None
    reports = {report["rung"]: report for report in once.reports}
    assert sorted(reports) == [0, 1]

    def change(event: Event) -> Event:
        match event:
            case Planned() if event.trial == number:
                digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
                return event.model_copy(update={"config": config, "config_digest": digest, "compute": once.planned})
            case Reported() if event.trial == number:
                return event.model_copy(update={"metrics": reports[event.rung]["metrics"]})
            case Ended() if event.trial == number:
                assert once.outcome
                return event.model_copy(update={key: once.outcome[key] for key in ("metrics", "weights_digest")})
        return event

    copy_changed(storage, "smoke", "two", change)
    result, record = reproduce(storage, f"two:{number}")
    assert (result.exit_code, record["verdict"]) == (0, "exact"), result.output
    assert record["digests"]["weights"][0] != history(storage).trials[number].weights_digest


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("smoke", "SWEEP:TRIAL"),
        ("smoke:", "SWEEP:TRIAL"),
        ("smoke:99", "trial 99 of 'smoke' is not there"),
        ("../smoke:1", "a sweep's id has 1 to 63"),
        ("0" * 32, "MLflow at"),
    ],
)
def test_what_is_no_trial_is_refused(storage: Path, target: str, said: str) -> None:
    result, _ = reproduce(storage, target)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
