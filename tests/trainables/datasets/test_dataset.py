"""Datasets are read by sample index, exactly as they were written, and only whole."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainables.datasets.made import write_dataset
from trainables.datasets.dataset import Dataset
from trainables.datasets.manifest import read_manifest
from trainables.outcomes import DamagedFile
from trainables.storage import Storage

DRAWN = np.random.default_rng(0)
PIXELS = DRAWN.integers(0, 256, (30, 3, 6, 5), dtype=np.uint8)
VECTORS = DRAWN.normal(size=(30, 7)).astype(np.float32)
TEXTS = [f"sentence {number}, ünïcode" * (number % 3) for number in range(30)]
LABELS = {"label": [number % 4 for number in range(30)], "coarse_label": [number % 2 for number in range(30)]}
ASKED = [29, 0, 8, 7, 7, 16]


def png(size: tuple[int, int], seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_pixels_and_labels_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    write_dataset(Storage(str(tmp_path)), "pixels", {"train": (PIXELS, LABELS)})
    data = Dataset.open(Storage(str(tmp_path)))
    assert data.samples("train") == 30
    assert data.images("train", torch.tensor(ASKED)).dtype == torch.uint8
    assert np.array_equal(data.images("train", ASKED).numpy(), PIXELS[ASKED])
    assert np.array_equal(data.images("train", [9, 8]).numpy(), PIXELS[[9, 8]])
    assert data.labels("train").tolist() == LABELS["label"]
    assert data.labels("train", "coarse_label").tolist() == LABELS["coarse_label"]
    assert data.images("train", []).shape == (0, 3, 6, 5)


def test_vectors_and_texts(tmp_path: Path) -> None:
    write_dataset(Storage(str(tmp_path / "v")), "vector", {"train": (VECTORS, {})})
    write_dataset(Storage(str(tmp_path / "t")), "text", {"train": (TEXTS, LABELS)})
    assert np.array_equal(Dataset.open(Storage(str(tmp_path / "v"))).vectors("train", ASKED).numpy(), VECTORS[ASKED])
    texts = Dataset.open(Storage(str(tmp_path / "t")))
    assert texts.texts("train", ASKED) == [TEXTS[number] for number in ASKED]
    with pytest.raises(TypeError, match="holds text, not images"):
        texts.images("train", [0])


def test_images_of_different_sizes_are_brought_to_one(tmp_path: Path) -> None:
    files = [png((8, 8), 0), png((12, 8), 1), png((8, 20), 2)]
    write_dataset(Storage(str(tmp_path)), "encoded", {"train": (files, {})})
    images = Dataset.open(Storage(str(tmp_path)), image_size=8).images("train", [0, 1, 2])
    assert images.shape == (3, 3, 8, 8)
    exact = np.asarray(Image.open(io.BytesIO(files[0]))).transpose(2, 0, 1)
    assert np.array_equal(images[0].numpy(), exact)
    tall = np.asarray(Image.open(io.BytesIO(files[1]))).transpose(2, 0, 1)
    assert np.array_equal(images[1].numpy(), tall[:, 2:10])
    with pytest.raises(ValueError, match="open it with image_size"):
        Dataset.open(Storage(str(tmp_path))).images("train", [0])


@pytest.mark.parametrize("index", [-1, 30])
def test_a_sample_that_is_not_there_is_refused(tmp_path: Path, index: int) -> None:
    write_dataset(Storage(str(tmp_path)), "pixels", {"train": (PIXELS, LABELS)})
    with pytest.raises(IndexError, match=f"has samples 0 to 29, not {index}"):
        Dataset.open(Storage(str(tmp_path))).images("train", [3, index])


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    here, there, other = (Storage(str(tmp_path / name)) for name in ("here", "there", "other"))
    first = write_dataset(here, "pixels", {"train": (PIXELS, LABELS)})
    again = write_dataset(there, "pixels", {"train": (PIXELS, LABELS)})
    flipped = PIXELS.copy()
    flipped[3, 1, 2, 2] ^= 1
    changed = write_dataset(other, "pixels", {"train": (flipped, LABELS)})
    assert first.digest == again.digest != changed.digest
    assert first.model_copy(update={"source": "elsewhere"}).digest == first.digest
    assert read_manifest(here) == first


def test_400_flipped_bits_are_400_refusals(tmp_path: Path) -> None:
    write_dataset(Storage(str(tmp_path)), "pixels", {"train": (PIXELS, LABELS), "test": (PIXELS[:9], LABELS_OF_TEST)})
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in files]
    drawn = random.Random(0)
    refused = set()
    for _ in range(400):
        path = drawn.choices(files, sizes)[0]
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(DamagedFile, match=path.name):
            Dataset.open(Storage(str(tmp_path)))
        refused.add(path)
        path.write_bytes(content)
    assert refused == set(files)
    Dataset.open(Storage(str(tmp_path)))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Dataset.open(Storage(str(tmp_path)))
    manifest = write_dataset(Storage(str(tmp_path)), "pixels", {"train": (PIXELS, LABELS)})
    file = manifest.splits["train"].blocks[1].file
    (tmp_path / file).unlink()
    with pytest.raises(DamagedFile, match=f"{file} is missing; ingest the dataset again"):
        Dataset.open(Storage(str(tmp_path)))


LABELS_OF_TEST = {name: labels[:9] for name, labels in LABELS.items()}
