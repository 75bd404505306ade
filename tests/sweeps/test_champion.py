"""Registered students: found by their alias, loaded where nothing of ours is installed, and as good as on record."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from typer.testing import CliRunner, Result

from sweeps.cli import app
from sweeps.commands.publish import publish_confirmed
from sweeps.results import Results
from sweeps.sweep import Sweep
from tests.sweeps.finished import confirm
from tests.trainables.trials import images_of
from trainables.config import TrialConfig
from trainables.tensor_files import tensors_digest

ROOT = Path(__file__).parents[2]

#: What a fresh environment does not hold; MLflow must do without, and so must the model.
ABSENT = ("ray", "optuna", "sklearn", "moocore", "typer", "search_spaces", "sweeps", "dashboards")
BLOCKED = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def publish(storage: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["publish", "smoke", "--storage", str(storage), *options])


def uri(storage: Path) -> str:
    return f"sqlite:///{storage}/mlflow.db"


def version(storage: Path, alias: str) -> ModelVersion:
    return MlflowClient(uri(storage), uri(storage)).get_model_version_by_alias("smoke", alias)


def files_of(storage: Path, alias: str) -> Path:
    source = version(storage, alias).source
    assert source is not None
    return storage / "artifacts" / "models" / source.removeprefix("models:/") / "artifacts"


@pytest.fixture(scope="module")
def storage(finished: Path) -> Path:
    result = publish(finished)
    assert result.exit_code == 0, result.output
    assert "@champion" in result.stdout
    assert "the knee of the front, not confirmed" in result.stdout
    return finished


@pytest.fixture(scope="module")
def data(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    trial = Sweep.load("smoke", storage).trial(int(version(storage, "champion").tags["trial"]))
    splits = TrialConfig.model_validate(trial.config).task.load().transfer_sets["transfer"]
    file = tmp_path_factory.mktemp("data") / "splits.safetensors"
    named = {"train": splits.train, "validation": splits.validation}
    tensors = {name: images_of(split).contiguous() for name, split in named.items()}
    safetensors.torch.save_file(tensors | {f"{name}_labels": split.label_N for name, split in named.items()}, file)
    return file


def test_a_fresh_environment_loads_the_champion_and_finds_the_accuracy_on_record(storage: Path, data: Path) -> None:
    script = (ROOT / "tests" / "sweeps" / "fresh_student.py").read_text()
    command = [sys.executable, "-P", "-c", BLOCKED + script, uri(storage), "models:/smoke@champion", str(data)]
    done = subprocess.run(command, cwd=data.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    champion = version(storage, "champion")
    assert found["accuracy"] == float(champion.tags["metric.transfer/knn_top1"])
    trial = Sweep.load("smoke", storage).trial(int(champion.tags["trial"]))
    assert found["accuracy"] == trial.metrics["transfer/knn_top1"]
    assert Path(found["network"]).is_relative_to(storage / "artifacts"), "the model brings its own source"
    assert found["parameters"] == sum(weight.numel() for weight in trial.student().state_dict().values())


def test_it_is_a_state_dict_and_a_config_too_and_nothing_in_it_is_a_pickle_or_a_path(storage: Path) -> None:
    folder, champion = files_of(storage, "champion"), version(storage, "champion")
    weights = safetensors.torch.load_file(folder / "data" / "student" / "weights.safetensors")
    assert tensors_digest(weights) == champion.tags["weights_digest"]
    trial = Sweep.load("smoke", storage).trial(int(champion.tags["trial"]))
    assert json.loads((folder / "data" / "student" / "config.json").read_text())["trial"] == trial.config
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {
        *("", ".json", ".py", ".safetensors", ".txt", ".yaml")
    }
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for hidden in (storage, ROOT, Path.home()):
                assert str(hidden).encode() not in content, file
    card = champion.description or ""
    assert f"python -m sweeps reproduce smoke:{champion.tags['trial']}" in card
    assert champion.run_id in {run.info.run_id for run in runs_of(storage, champion.tags["trial"])}


def runs_of(storage: Path, trial: str) -> list[Run]:
    client = MlflowClient(uri(storage))
    experiments = [each.experiment_id for each in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.sweep = 'smoke' and tags.trial = '{trial}'"))


def test_the_same_student_is_registered_once_and_another_one_takes_its_place(storage: Path) -> None:
    champion = version(storage, "champion")
    assert "registered already" in publish(storage).stdout
    assert version(storage, "champion").version == champion.version
    complete = Sweep.load("smoke", storage).front()["trial"].to_pylist()
    other = next(str(number) for number in complete if str(number) != champion.tags["trial"])
    assert "chosen by hand" in publish(storage, "--trial", other).stdout
    assert version(storage, "champion").tags["trial"] == other
    assert version(storage, "previous").version == champion.version
    assert publish(storage).exit_code == 0  # the next test finds the knee in its place again
    assert version(storage, "champion").tags["trial"] == champion.tags["trial"]


def test_a_confirmation_ends_with_its_best_point_as_champion(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(storage, tmp_path / "results")
    confirm(tmp_path / "results", "smoke", seeds=2)
    publish_confirmed("smoke", Results(str(tmp_path / "results")))
    champion = version(tmp_path / "results", "champion")
    assert "confirmed by" in (champion.description or "")
    assert champion.tags["confirmed"] == "true"
    best = CliRunner().invoke(app, ["best", "smoke", "--storage", str(tmp_path / "results"), "--json"])
    assert json.loads(best.stdout)["trial"] == int(champion.tags["trial"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:s3cret-word@127.0.0.1:9")
    publish_confirmed("smoke", Results(str(tmp_path / "results")))
    said = capsys.readouterr().out
    assert "not published: MLflow at" in said
    assert "s3cret-word" not in said


def test_a_trial_without_a_student_is_refused(storage: Path) -> None:
    result = publish(storage, "--trial", "99")
    assert result.exit_code == 2
    assert "has no trial 99" in result.stderr


def test_changed_weights_are_not_published(storage: Path) -> None:
    number = Sweep.load("smoke", storage).front()["trial"].to_pylist()[0]
    files = sorted((storage / "smoke" / "trials" / str(number)).rglob("*.safetensors"))
    kept = [file.read_bytes() for file in files]
    try:
        for file in files:
            file.write_bytes(file.read_bytes()[:-1] + b"\x01")
        assert publish(storage, "--trial", str(number)).exit_code == 6
    finally:
        for file, content in zip(files, kept, strict=True):
            file.write_bytes(content)
    with torch.no_grad():
        assert Sweep.load("smoke", storage).trial(number).student()(torch.zeros(1, 1, 8, 8)).isfinite().all()
