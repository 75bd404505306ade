"""An ingest that is killed goes on where it was, and comes to the same dataset."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.data.files import Files
from sweeps.data.ingest import JOURNAL, Request, begin
from trainables.datasets.manifest import MANIFEST, read_manifest
from trainables.storage import Storage

#: More than three blocks to train on, and one each to validate and test.
SAMPLES = 45_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    drawn = np.random.default_rng(0)
    np.save(folder / "train_images.npy", drawn.integers(0, 256, (SAMPLES, 3, 32, 32), dtype=np.uint8))
    np.save(folder / "train_label.npy", np.arange(SAMPLES) % 10)
    return folder


def ingest(source: Path, made: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", "ingest", str(source), str(made), *options])
    return result.exit_code, result.output


def killed_after(blocks: int, source: Path, made: Path) -> list[Path]:
    """Kill an ingest as soon as so many blocks to train on are there; these."""
    command = [sys.executable, "-m", "sweeps", "data", "ingest", str(source), str(made)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(there := sorted((made / "train").glob("*.arrow"))) < blocks and child.poll() is None:
        time.sleep(0.001)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert not (made / MANIFEST).exists()
    return there


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("whole") / "made"
    assert ingest(source, made)[0] == 0
    return made


def test_a_killed_ingest_goes_on_and_writes_nothing_again(source: Path, whole: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    there = {path: path.stat().st_mtime_ns for path in killed_after(2, source, made)}
    assert ingest(source, made)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert read_manifest(Storage(str(made))) == read_manifest(Storage(str(whole)))
    assert sorted(path.name for path in made.rglob("*")) == sorted(path.name for path in whole.rglob("*"))
    assert CliRunner().invoke(app, ["data", "check", str(made)]).exit_code == 0


def test_a_block_that_was_damaged_meanwhile_is_made_again(source: Path, whole: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    block = killed_after(1, source, made)[0]
    content = block.read_bytes()
    block.write_bytes(content[:5000] + bytes([content[5000] ^ 4]) + content[5001:])
    assert ingest(source, made)[0] == 0
    assert block.read_bytes() == content
    assert read_manifest(Storage(str(made))) == read_manifest(Storage(str(whole)))


def test_what_was_begun_otherwise_is_not_gone_on_with(source: Path, tmp_path: Path) -> None:
    begin(Storage(str(tmp_path)), Files(str(source)), Request())
    code, said = ingest(source, tmp_path, "--seed", "1")
    assert code == 2
    assert "unfinished ingest of another source" in said
    assert "delete the folder, or give a new one" in said
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]
