"""Sweeps as notebooks see them, and points as sweep files; the example notebook is executed."""

import shutil
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from typer.testing import CliRunner

from search_spaces.sweep_file import load
from sweeps.cli import app
from sweeps.refusals import Refusal
from sweeps.sweep import Sweep
from tests.sweeps.finished import training_slot
from tests.sweeps.plain_slot import driving
from tests.sweeps.test_driver import run_out
from trainables.config import TrialConfig
from trainables.tensor_files import tensors_digest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "explore.ipynb"


@pytest.fixture(scope="module")
def sweep(finished: Path) -> Sweep:
    return Sweep.load("smoke", finished)


def test_trials_are_a_table_with_a_column_for_each_param_and_metric(sweep: Sweep) -> None:
    table = sweep.trials()
    assert table["trial"].to_pylist() == [0, 1, 2, 3, 4]
    assert set(table["state"].to_pylist()) == {"complete", "pruned"}
    frame = table.to_pandas()
    assert frame["params.memory.size"].nunique() > 1
    pruned = frame[frame.state == "pruned"]
    assert pruned["metrics.test/transfer/knn_top1"].isna().all()
    assert (pruned["metrics.compute/cost_s"] > 0).all()


def test_the_front_is_that_of_the_command(sweep: Sweep, finished: Path) -> None:
    costs = sweep.front()["metrics.compute/cost_s"].to_pylist()
    assert costs == sorted(costs)
    assert costs
    said = CliRunner().invoke(app, ["front", "smoke", "--storage", str(finished), "--json"]).stdout
    for number in sweep.front()["trial"].to_pylist():
        assert f'"trial": {number},' in said


def test_a_student_has_the_weights_on_record(sweep: Sweep) -> None:
    for number, record in sweep.history.trials.items():
        student = sweep.trial(number).student()
        assert tensors_digest(dict(student.state_dict())) == record.weights_digest
        assert not student.training
        config = TrialConfig.model_validate(record.config)
        assert student(torch.zeros(3, 1, 8, 8)).shape == (3, config.student_width())
    with pytest.raises(Refusal, match="has no trial 9"):
        sweep.trial(9)


def test_the_example_notebook_runs(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(finished / "smoke", tmp_path / "results" / "smoke")  # alone: the newest sweep is the one it reads
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the kernel, which works where the results are
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs
    text = nbformat.writes(notebook)
    assert "transfer/knn_top1" in text
    for hidden in (ROOT, tmp_path, Path.home()):
        assert str(hidden) not in text


def test_a_point_becomes_a_sweep_that_trains_it_again(sweep: Sweep, finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "point.yaml"
    command = ["best", "smoke", "--storage", str(finished), "--emit", str(file)]
    said = CliRunner().invoke(app, [*command, "--json"])
    assert said.exit_code == 0, said.output
    loaded = load(file)
    number = int(loaded.file.name.rpartition("-")[2])
    original = sweep.history.trials[number]

    slot = training_slot(tmp_path / "point")
    with driving(tmp_path / "point", loaded, slot) as driver:
        run_out(driver, slot)
        [again] = driver.ledger.history.trials.values()
    assert again.config == original.config
    assert (again.state, again.weights_digest) == ("complete", original.weights_digest)
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "--emit names a new file" in refused.stderr
