"""Every layout is checked, ingested and swept, from local folders and from an object store, end to end.

Two cells in `make test`; all of them with ``LAYOUTS=all`` (`make layouts-test`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from tests.sweeps.data import layouts
from tests.sweeps.data.object_store import object_store
from trainables.config import TrialConfig
from trainables.datasets.manifest import read_manifest
from trainables.storage import Storage

IN_EVERY_RUN = {("webdataset", "here"), ("parquet", "s3")}

pytestmark = pytest.mark.timeout(600)

CONTRAST: Mapping[str, Any] = {
    "objective": {"name": "crd", "temperature": {"float": [0.05, 0.4]}},
    "memory": {"name": "queue", "size": 32},
    "negatives": {"name": "uniform", "count": 8},
    "batch_size": 16,
    "steps": 6,
    "rungs": 2,
}
IMAGES: Mapping[str, Any] = {
    "task": {"name": "images", "held_out": [2, 3], "labels_per_class": 10},
    "teacher": {"model": {"name": "convnet", "width": 2}, "steps": 10},
    "student": {"name": "convnet", "width": 2},
    **CONTRAST,
}
TEXT: Mapping[str, Any] = {
    "task": {"name": "text", "held_out": [2, 3], "labels_per_class": 10, "tokens": 24},
    "teacher": {"model": {"name": "transformer", "width": 16, "depth": 1}, "steps": 10},
    "student": {"name": "transformer", "width": 8, "depth": 1, "heads": 2},
    **CONTRAST,
}
UNLABELLED: Mapping[str, Any] = {
    **TEXT,
    "task": {"name": "text", "labels_per_class": 10, "tokens": 24},
    "teacher": {"model": {"name": "transformer", "width": 16, "depth": 1}, "steps": 0},
}
EMBEDDINGS: Mapping[str, Any] = {
    "preset": "simskip",
    "task": {"name": "embeddings", "held_out": [2, 3], "labels_per_class": 10},
    "teacher": {"model": {"name": "stored"}, "steps": 0},
    "student": {"hidden": {"int": [8, 16]}},
    "negatives": {"count": 15},
    "batch_size": 16,
    "steps": 6,
    "rungs": 2,
}
#: What is swept on each layout, and which transfer sets there are.
SWEPT: Mapping[str, tuple[Mapping[str, Any], set[str]]] = {
    "parquet": (IMAGES, {"transfer", "corrupted", "source"}),
    "webdataset": (IMAGES, {"transfer", "corrupted", "source"}),
    "numpy": (IMAGES, {"transfer", "corrupted", "source"}),
    "jsonl": (TEXT, {"transfer", "source"}),
    "folders": (IMAGES, {"transfer", "corrupted", "source"}),
    "text": (UNLABELLED, {"labelled"}),
    "cifar": ({**IMAGES, "task": {"name": "cifar100", "held_out": []}}, {"corrupted", "source"}),
    "embeddings": (EMBEDDINGS, {"transfer", "source"}),
}
CELLS = [
    pytest.param(
        layout,
        place,
        id=f"{layout}-{place}",
        marks=pytest.mark.skipif(
            os.environ.get("LAYOUTS") != "all" and (layout, place) not in IN_EVERY_RUN,
            reason="minutes: make layouts-test",
        ),
    )
    for layout in SWEPT
    for place in ("here", "s3")
]


@pytest.fixture
def bucket() -> Iterator[str]:
    with object_store() as uri:
        yield uri


@pytest.fixture(autouse=True)
def enough_samples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Some for probes to learn from, of classes that are held out; copies of object stores are this test's own."""
    monkeypatch.setattr(layouts, "PARTS", {"train": layouts.part(160), "test": layouts.part(40)})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def ingested(layout: str, folder: Path, place: str) -> str:
    """Where the dataset is that was made of a layout, once what it is made of was found to be without faults."""
    made_here = folder / "made" / layout
    made_here.mkdir(parents=True)
    layouts.LAYOUTS[layout](made_here)
    source, dataset = str(made_here), str(folder / "data" / layout)
    if place != "here":
        source, dataset = (Storage(place).address(f"{layout}/{name}") for name in ("source", "data"))
        for path in made_here.rglob("*"):
            if path.is_file():
                Storage(source).write(str(path.relative_to(made_here)), path.read_bytes())
    unpickle = ["--unpickle"] if layout == "cifar" else []
    data("check", source, *unpickle)
    data("ingest", source, dataset, *unpickle)
    data("check", dataset)
    return dataset


def data(*arguments: str) -> None:
    result = CliRunner().invoke(app, ["data", *arguments])
    assert result.exit_code == 0, result.output


def swept(folder: Path, trial: Mapping[str, Any], goal: str) -> History:
    """What the ledger of a sweep of two trials says."""
    file = {
        "name": "layouts",
        "trial": trial,
        "goals": {goal: "maximize", "compute/cost_s": "minimize"},
        "search": {"name": "random", "seed": 0},
        "stop": {"name": "none"},
        "budget": {"trials": 2},
        "resources": {"slots": 1},
    }
    (folder / "sweep.yaml").write_text(json.dumps(file))
    where = ["--id", "swept", "--storage", str(folder / "results")]
    command = [sys.executable, "-m", "sweeps", "run", str(folder / "sweep.yaml"), *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with Ledger.open(folder / "results" / "swept") as ledger:
        return History.of(ledger.events())


@pytest.mark.parametrize(("layout", "place"), CELLS)
def test_a_layout_is_swept(layout: str, place: str, bucket: str, tmp_path: Path) -> None:
    trial, transfer_sets = SWEPT[layout]
    at = "here" if place == "here" else bucket
    task = {**trial["task"], "data": ingested(layout, tmp_path, at)}
    if layout == "text":
        task["transfer"] = {"labelled": ingested("jsonl", tmp_path, at)}
    goal = f"{sorted(transfer_sets)[-1]}/knn_top1"
    history = swept(tmp_path, {**trial, "task": task}, goal)
    assert [recorded.state for recorded in history.trials.values()] == ["complete"] * 2
    for recorded in history.trials.values():
        for name in transfer_sets:
            assert 0 <= recorded.metrics[f"{name}/knn_top1"] <= 1
            assert 0 <= recorded.metrics[f"test/{name}/knn_top1"] <= 1
    # the digest of a task is of its content: that of the same data, ingested once more in another place
    again = {**task, "data": ingested(layout, tmp_path / "again", "here")}
    assert read_manifest(Storage(again["data"])).digest == read_manifest(Storage(task["data"])).digest
    config = TrialConfig.model_validate({**history.trials[0].config, "task": again})
    assert [session.opened.data_digest for session in history.sessions] == [config.task.load().digest]
