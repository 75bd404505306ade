"""Ingest through Ray Data is ingest: the same dataset, the same faults (`tests.sweeps.data.two_nodes`)."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sweeps.data import cluster
from sweeps.data.faults import Faults
from sweeps.data.files import Files
from sweeps.data.labels import read_labels
from sweeps.data.samples import converter
from sweeps.data.sources import SourceAt
from sweeps.data.spans import spans
from tests.sweeps.data.layouts import LAYOUTS, plain_text
from tests.sweeps.ray_of_its_own import told_by


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of ingests with and without a cluster."""
    return told_by("tests.sweeps.data.two_nodes", tmp_path_factory.mktemp("nodes"), 280)


def test_a_killed_ingest_goes_on_and_comes_to_the_dataset_of_one_machine(seen: dict[str, Any]) -> None:
    here, killed, there = seen["images here"], seen["images killed"], seen["images there"]
    assert (killed["exit"], killed["manifest"]) == (-signal.SIGKILL, None)
    assert killed["said"] == "", "nothing of Ray's"
    assert 1 <= len(killed["blocks"]) < len(there["blocks"])
    assert killed["blocks"].items() <= there["blocks"].items(), "no block is written again"
    assert there["manifest"] == here["manifest"]
    assert there["said"] == here["said"], "its digest, and no more"
    assert set(there["blocks"]) == set(here["blocks"])


def test_both_nodes_have_worked(seen: dict[str, Any]) -> None:
    assert (seen["nodes used before"], seen["nodes used"]) == (0, 2)


def test_what_a_lost_node_was_to_do_is_done_by_another(seen: dict[str, Any]) -> None:
    lost = seen["images under a loss"]
    assert 1 <= lost["blocks at the loss"] < len(lost["blocks"])
    assert lost["manifest"] == seen["images here"]["manifest"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("lines", "train-1.jsonl row 5000 column text: it is empty"),
        ("vectors", "train.parquet row 8000 column embedding: all its values are 0"),  # in an object store
    ],
)
def test_faults_are_the_same_in_the_same_order_and_nothing_is_left(
    source: str, said: str, seen: dict[str, Any]
) -> None:
    here, there = seen[f"{source} here"], seen[f"{source} there"]
    assert here["exit"] == 2
    assert there == here
    assert there["blocks"] == {}
    assert said in there["said"]


def test_a_node_that_sees_other_files_is_named_with_what_to_do(seen: dict[str, Any]) -> None:
    assert "every node of a cluster reads the same source" in seen["changed"]
    assert "Give a URI of an object store" in seen["changed"]
    assert "Traceback" not in seen["changed"]
    assert "\n" not in seen["changed"]


WITHOUT = """
import sys
from sweeps.cli import app
try:
    app(["data", "ingest", *sys.argv[1:]])
finally:
    print("ray" in sys.modules)
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "train: 36 samples"),
        (["--address", "http://127.0.0.1:8265"], "is its dashboard"),
        (["--address", "127.0.0.1:9"], "none answers at 127.0.0.1:9"),
    ],
)
def test_ray_is_loaded_for_a_cluster_that_answers_only(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    plain_text(tmp_path / "source")
    where = [str(tmp_path / "source"), str(tmp_path / "made")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *where, *options], capture_output=True, text=True, check=False
    )
    assert said in done.stdout + done.stderr
    assert done.returncode == (2 if options else 0)
    assert not options or not (tmp_path / "made").exists()
    assert done.stdout.splitlines()[-1] == str("127.0.0.1:9" in options)  # whose protocols ask


def texts(folder: Path) -> None:
    for file in range(3):
        (folder / f"train-{file}.txt").write_text("\n".join(f"{file} {row}" for row in range(300 + file)))


def cifar_10(folder: Path) -> None:
    for number in range(1, 6):
        content = {"data": np.full((300, 3072), number, np.uint8), "labels": [number] * 300}
        (folder / f"data_batch_{number}").write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({}, protocol=2))


@pytest.mark.parametrize(
    ("make", "files"), [(LAYOUTS["webdataset"], 2), (texts, 3), (cifar_10, 5)], ids=["webdataset", "text", "cifar"]
)
def test_a_span_opens_its_own_files_only(
    make: Callable[[Path], None], files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    at = SourceAt(str(tmp_path), ("train",), unpickle=True)
    whole = at.files()
    source = at.open(whole, Faults())
    everything = [str(value) for rows in source.samples("train", 0) for value in rows.values]
    parts = spans(source.starts("train"), 0, len(everything), least=1)
    assert len(parts) == files

    elsewhere = at.files()
    elsewhere.rows.update(whole.rows)
    again = at.open(elsewhere, Faults())
    opened: list[str] = []
    open_file = Files.open

    def watched(self: Files, name: str) -> pa.NativeFile:
        opened.append(name)
        return open_file(self, name)

    monkeypatch.setattr(Files, "open", watched)
    for number, part in enumerate(parts):
        rows = next(iter(again.samples("train", part.start)))
        assert [str(value) for value in rows.values] == everything[part.start :][: len(rows)]
        assert len(opened) == len(set(opened)) == number + 1


def test_spans_begin_where_reading_may_begin_and_leave_nothing_out() -> None:
    assert spans(range(10_000), 0, 10_000) == [range(4096), range(4096, 8192), range(8192, 10_000)]
    assert spans([0, 300, 5000, 9000], 0, 9500) == [range(5000), range(5000, 9500)]
    assert spans([0, 300, 5000, 9000], 4000, 9500) == [range(4000, 9000), range(9000, 9500)]
    assert spans([0], 7, 9500) == [range(7, 9500)]
    assert spans([0, 0, 5], 5, 5) == []


def torn(opened: Any, name: str) -> Any:
    """Only the first half of one file, as a node with a bad way to it may read it."""

    def open_file(files: Files, asked: str) -> Any:
        file = opened(files, asked)
        return pa.BufferReader(file.read()[: file.size() // 2]) if asked == name else file

    return open_file


def test_a_file_that_a_node_reads_badly_ends_it_before_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LAYOUTS["webdataset"](tmp_path)
    at = SourceAt(str(tmp_path))
    files, faults = at.files(), Faults()
    source = at.open(files, faults)
    read_labels(source, faults)
    whole = list(source.samples("train", 0))
    first, second = dict.fromkeys(rows.file for rows in whole)
    before = sum(len(rows) for rows in whole if rows.file == first)
    convert = converter(source, [value for rows in whole for value in rows.values], None, None)
    seen = cluster._Seen(at, cluster._digest(files), tuple(files.rows.items()), frozenset())
    monkeypatch.setattr(Files, "open", torn(Files.open, first))
    spans_of_all = pa.table({"start": [0, before], "stop": [before, sum(map(len, whole))]})
    given = list(cluster._tables(spans_of_all, seen, "train", convert))
    assert "the same command then goes on" in given[-1].column("refusal").to_pylist()[-1]
    handed = [each.to_pydict() for each in given[:-1]]
    assert second not in [file for table in handed for file in table["file"]]
    assert [row for table in handed for row in table["row"]] == list(range(sum(len(t["row"]) for t in handed)))
    monkeypatch.undo()
    again = list(cluster._tables(spans_of_all, seen, "train", convert))  # what was read badly is not kept
    assert sum(table.num_rows for table in again) == sum(map(len, whole))
