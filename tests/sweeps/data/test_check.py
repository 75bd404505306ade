"""What is wrong with a dataset that was ingested."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from sweeps.cli import app
from tests.trainables.datasets.made import write_dataset
from trainables.datasets.blocks import block_record, encoded_block
from trainables.datasets.manifest import MANIFEST, Manifest, Split, read_manifest, write_manifest
from trainables.outcomes import NewerFile
from trainables.storage import Storage

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 3, 6, 5), dtype=np.uint8)
VECTORS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
LABELS = {"label": [number % 3 for number in range(30)]}


def check(folder: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", "check", str(folder)])
    return result.exit_code, result.output


def with_block(storage: Storage, manifest: Manifest, samples: object, labels: list[int]) -> None:
    """Write the dataset again, with another last block, which matches its digest."""
    split = manifest.splits["train"]
    content, rows = encoded_block(manifest.stored, samples, {"label": np.asarray(labels)})
    block = block_record("train", 9, content, rows)
    storage.write(block.file, content)
    changed = Split(blocks=(*split.blocks[:-1], block), per_class=split.per_class)
    write_manifest(storage, manifest.model_copy(update={"splits": {"train": changed}}))


def test_each_flipped_bit_is_found_in_its_file(tmp_path: Path) -> None:
    write_dataset(Storage(str(tmp_path)), "pixels", {"train": (PIXELS, LABELS)})
    assert check(tmp_path)[0] == 0
    drawn = random.Random(0)
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[drawn.randrange(len(whole))] ^= 1 << drawn.randrange(8)
        path.write_bytes(flipped)
        code, said = check(tmp_path)
        assert code == 6
        assert path.name in said
        assert "ingest" in said
        path.write_bytes(whole)


def test_all_damaged_files_are_named_at_once(tmp_path: Path) -> None:
    manifest = write_dataset(Storage(str(tmp_path)), "pixels", {"train": (PIXELS, LABELS)})
    first, second, *_ = manifest.splits["train"].blocks
    (tmp_path / first.file).write_bytes(b"")
    (tmp_path / second.file).unlink()
    code, said = check(tmp_path)
    assert code == 6
    assert first.file in said
    assert f"{second.file} is missing" in said


@pytest.mark.parametrize(
    ("vectors", "labels", "said"),
    [
        (VECTORS[24:], [0, 1, 2, 0, 1, 7], "row 5 column label: the label 7 is none of 3 classes"),
        (
            VECTORS[24:],
            [0, 1, 2, 0, 1, 1],
            "column label: the samples of train per class are not those of the manifest",
        ),
        (
            VECTORS[24:] * np.array([[1], [1], [np.nan], [1], [1], [1]]),
            [0, 1, 2, 0, 1, 2],
            "row 2 column sample: value 0 is",
        ),
    ],
)
def test_what_does_not_follow_from_the_manifest(
    vectors: np.ndarray, labels: list[int], said: str, tmp_path: Path
) -> None:
    storage = Storage(str(tmp_path))
    manifest = write_dataset(storage, "vector", {"train": (VECTORS, LABELS)})
    with_block(storage, manifest, vectors, labels)
    code, found = check(tmp_path)
    assert code == 2
    assert said in found


def test_a_manifest_of_a_newer_version_is_said_to_be_one(tmp_path: Path) -> None:
    from trainables.datasets import manifest as module

    storage = Storage(str(tmp_path))
    made = write_dataset(storage, "pixels", {"train": (PIXELS, LABELS)})
    storage.write(MANIFEST, module._sealed({**made.model_dump(mode="json"), "layout": 2, "more": 1}))
    code, said = check(tmp_path)
    assert code == 6
    assert "has format 2" in said
    with pytest.raises(NewerFile):
        read_manifest(storage)


def test_a_damaged_page_of_a_source_is_a_fault_of_its_file(tmp_path: Path) -> None:
    texts = [f"a text that is found again, {row}" for row in range(64)]
    table = pa.table({"text": texts, "label": [row % 2 for row in range(64)]})
    path = tmp_path / "train.parquet"
    parquet.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    assert check(tmp_path)[0] == 0
    path.write_bytes(path.read_bytes().replace(b"found again, 7", b"found aGain, 7"))
    code, said = check(tmp_path)
    assert code == 2
    assert "train.parquet: a page of row group 0 is damaged" in said
    assert "fetch it again" in said
