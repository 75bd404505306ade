"""Data in every layout becomes the dataset that it should, wherever it lies."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sweeps.cli import app
from tests.sweeps.data.layouts import CLASSES, COARSE, LAYOUTS, PARTS, class_folders, hugging_face, numpy_arrays
from tests.sweeps.data.object_store import object_store
from trainables.datasets.dataset import Dataset
from trainables.datasets.manifest import read_manifest
from trainables.outcomes import DamagedFile
from trainables.storage import Storage

IN_ORDER = [name for name in LAYOUTS if name != "folders"]  # which are in the order of their names


def run(*arguments: str | Path, expect: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert result.exit_code == expect, result.output
    return result.output


def ingested(layout: str, folder: Path, *options: str) -> Dataset:
    source, made = folder / "source", folder / "made"
    source.mkdir()
    LAYOUTS[layout](source)
    run("ingest", source, made, *options, *(["--unpickle"] if layout == "cifar" else []))
    return Dataset.open(Storage(str(made)))


@pytest.mark.parametrize("layout", IN_ORDER)
def test_a_layout_is_ingested_exactly(layout: str, tmp_path: Path) -> None:
    data = ingested(layout, tmp_path, "--validation", "0")
    for split, part in PARTS.items():
        every = np.arange(len(part.fine))
        assert data.samples(split) == len(every)
        if data.manifest.kind == "images":
            assert np.array_equal(data.images(split, every).numpy(), part.images.transpose(0, 3, 1, 2))
        elif data.manifest.kind == "text":
            assert data.texts(split, every) == part.texts
        else:
            assert np.array_equal(data.vectors(split, every).numpy(), part.vectors)
        if data.manifest.classes:
            assert data.labels(split).tolist() == part.fine
        if "coarse_label" in data.manifest.classes:
            assert data.labels(split, "coarse_label").tolist() == part.coarse
    named = {"parquet": CLASSES, "cifar": CLASSES, "jsonl": CLASSES}
    if layout != "text":
        assert next(iter(data.manifest.classes.values())) == named.get(layout, tuple("0123"))


def test_class_folders_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    data = ingested("folders", tmp_path, "--validation", "0")
    train = PARTS["train"]
    order = sorted(range(len(train.fine)), key=lambda number: (train.fine[number], number))
    assert np.array_equal(data.images("train", np.arange(40)).numpy(), train.images[order].transpose(0, 3, 1, 2))
    assert data.labels("train").tolist() == sorted(train.fine)
    assert data.manifest.classes == {"label": CLASSES}


def test_the_same_data_has_one_digest_in_whatever_layout(tmp_path: Path) -> None:
    digests = {}
    for layout in ("parquet", "cifar", "webdataset", "numpy", "npz"):
        (tmp_path / layout).mkdir()
        digests[layout] = ingested(layout, tmp_path / layout).digest
    assert digests["parquet"] == digests["cifar"]  # with names and coarse labels
    assert digests["webdataset"] == digests["numpy"] == digests["npz"]


def test_validation_is_carved_out_of_train_class_by_class_by_the_seed_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    hugging_face(source)
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        run("ingest", source, tmp_path / name, "--validation", "0.2", "--seed", str(seed))
    one, same, other = (Dataset.open(Storage(str(tmp_path / name))) for name in ("one", "same", "other"))
    assert one.digest == same.digest != other.digest
    assert one.manifest.splits["train"].per_class["fine_label"] == (8,) * 4
    assert one.manifest.splits["validation"].per_class == {"fine_label": (2,) * 4, "coarse_label": (4, 4)}
    assert one.manifest.splits["test"].samples == 12
    split = [
        images.tobytes()
        for name in ("train", "validation")
        for images in one.images(name, np.arange(one.samples(name))).numpy()
    ]
    assert Counter(split) == Counter(images.transpose(2, 0, 1).tobytes() for images in PARTS["train"].images)


def test_images_that_differ_in_size_stay_encoded_unless_a_size_is_asked_for(tmp_path: Path) -> None:
    from PIL import Image

    for number in range(12):
        path = tmp_path / "source" / "ab"[number % 2] / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20 + number, 30, 3), number * 20, dtype=np.uint8)).save(path)
    run("ingest", tmp_path / "source", tmp_path / "encoded")
    run("ingest", tmp_path / "source", tmp_path / "pixels", "--size", "16")
    encoded = Dataset.open(Storage(str(tmp_path / "encoded")), image_size=16)
    pixels = Dataset.open(Storage(str(tmp_path / "pixels")))
    assert (encoded.manifest.stored, pixels.manifest.stored) == ("encoded", "pixels")
    every = np.arange(pixels.samples("train"))
    assert np.array_equal(encoded.images("train", every).numpy(), pixels.images("train", every).numpy())
    assert "stored as encoded" in run("describe", tmp_path / "encoded")
    run("check", tmp_path / "encoded")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with object_store() as uri:
        yield uri


@pytest.mark.parametrize("layout", [*LAYOUTS])
def test_every_layout_through_an_object_store(layout: str, bucket: str, tmp_path: Path) -> None:
    """Source and dataset lie there; the same comes out as of local folders."""
    here = ingested(layout, tmp_path)
    unpickle = ["--unpickle"] if layout == "cifar" else []
    for path in (tmp_path / "source").rglob("*"):
        if path.is_file():
            name = path.relative_to(tmp_path / "source")
            Storage(_uri(bucket, f"{layout}/source")).write(str(name), path.read_bytes())
    made = _uri(bucket, f"{layout}/made")
    run("check", _uri(bucket, f"{layout}/source"), *unpickle)
    run("ingest", _uri(bucket, f"{layout}/source"), made, *unpickle)
    assert "no faults" in run("check", made)
    there = Dataset.open(Storage(made), cache=tmp_path / "cache")
    assert there.digest == here.digest
    assert there.storage.local
    asked = [35, 3, 20]
    read = {"images": "images", "text": "texts", "embeddings": "vectors"}[here.manifest.kind]
    ours, theirs = (getattr(data, read)("train", asked) for data in (here, there))
    assert ours == theirs if isinstance(ours, list) else bool((ours == theirs).all())
    assert Dataset.open(Storage(made), cache=tmp_path / "cache").digest == here.digest


def test_a_copy_from_an_object_store_that_was_damaged_is_fetched_again(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    numpy_arrays(tmp_path / "source")
    made = _uri(bucket, "damaged")
    run("ingest", tmp_path / "source", made)
    copy = Dataset.open(Storage(made), cache=tmp_path / "cache")
    block = Path(copy.storage.uri) / copy.manifest.splits["train"].blocks[0].file
    whole = block.read_bytes()
    block.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    Dataset.open(Storage(made), cache=tmp_path / "cache")
    assert block.read_bytes() == whole


def test_what_was_damaged_in_an_object_store_is_refused(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    numpy_arrays(tmp_path / "source")
    made = _uri(bucket, "refused")
    run("ingest", tmp_path / "source", made)
    file = read_manifest(Storage(made)).splits["test"].blocks[0].file
    whole = Storage(made).read(file)
    Storage(made).write(file, whole[:900] + bytes([whole[900] ^ 8]) + whole[901:])
    with pytest.raises(DamagedFile, match=file):
        Dataset.open(Storage(made), cache=tmp_path / "cache")
    assert file in run("check", made, expect=6)


def _uri(bucket: str, name: str) -> str:
    return Storage(bucket).address(name)


def test_pickles_are_read_on_request_only(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    LAYOUTS["cifar"](tmp_path / "source")
    said = run("ingest", tmp_path / "source", tmp_path / "made", expect=2)
    assert "give --unpickle" in said
    assert not (tmp_path / "made").exists()


def test_what_was_ingested_is_described(tmp_path: Path) -> None:
    data = ingested("parquet", tmp_path, "--licence", "CC0-1.0")
    said = run("describe", tmp_path / "made")
    assert data.digest in said
    assert "licence: CC0-1.0" in said
    assert "fine_label: 4 classes, 9 samples each in train" in said
    assert run("check", tmp_path / "made") == f"{said}{tmp_path / 'made'}: no faults\n"
    assert data.manifest.classes["coarse_label"] == COARSE
    assert read_manifest(data.storage).licence == "CC0-1.0"


def test_a_dataset_is_not_written_over(tmp_path: Path) -> None:
    ingested("numpy", tmp_path)
    assert "already holds a dataset" in run("ingest", tmp_path / "source", tmp_path / "made", expect=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--split", "dev"), "no files of the split dev; it has"),
        (("--validation", "0.6", "--test", "0.5"), "must leave something to train on"),
        (("--layout", "csv"), "csv is none that is known"),
    ],
)
def test_options_that_cannot_be(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    class_folders(tmp_path / "source")
    assert said in run("ingest", tmp_path / "source", tmp_path / "made", *options, expect=2)
    assert not (tmp_path / "made").exists()
