"""Views of stored images are functions of (seed, epoch, sample), whatever the batch, the thread and their number."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainables.datasets.made import write_dataset
from trainables.datasets.augmentation import Augmentation, PadCrop, ResizedCrop
from trainables.datasets.dataset import Dataset
from trainables.datasets.views import Views
from trainables.storage import Storage

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
ORDER = torch.randperm(50, generator=torch.Generator().manual_seed(0))


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).resize((17, 11)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(params=["pixels", "encoded"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    samples = PIXELS if request.param == "pixels" else [jpeg(pixels) for pixels in PIXELS]
    write_dataset(Storage(str(tmp_path)), request.param, {"train": (samples, {})})
    return Dataset.open(Storage(str(tmp_path)), image_size=8)


@pytest.fixture(params=[PadCrop(pixels=2), ResizedCrop(least=0.3)], ids=["pad_crop", "resized_crop"])
def augmentation(request: pytest.FixtureRequest) -> Augmentation:
    return request.param  # type: ignore[no-any-return]


def test_a_view_is_a_function_of_seed_epoch_and_sample(data: Dataset, augmentation: Augmentation) -> None:
    views = Views(data, "train", augmentation)
    every = views.view(torch.arange(50), epoch=3, seed=7)
    assert every.shape == (50, 3, 8, 8)
    assert every.dtype == torch.float32
    assert 0 <= every.min() < every.max() <= 1
    assert torch.equal(Views(data, "train", augmentation).view(ORDER, 3, 7), every[ORDER])
    assert torch.equal(torch.cat([views.view(one, 3, 7) for one in ORDER.split(1)]), every[ORDER])
    assert not torch.equal(views.view(torch.arange(50), 4, 7), every)
    assert not torch.equal(views.view(torch.arange(50), 3, 8), every)


@pytest.mark.parametrize("workers", [1, 4])
def test_the_number_of_workers_changes_nothing(data: Dataset, augmentation: Augmentation, workers: int) -> None:
    views = Views(data, "train", augmentation)
    alone = list(views.batches(ORDER.split(7), 1, 0, workers=0))
    at_once = list(views.batches(ORDER.split(7), 1, 0, workers))
    assert len(alone) == len(at_once) == 8
    assert all(torch.equal(one, other) for one, other in zip(alone, at_once, strict=True))


def test_plain_images_are_what_is_stored(data: Dataset) -> None:
    plain = Views(data, "train", PadCrop()).plain(ORDER[:9])
    assert torch.equal(plain, data.images("train", ORDER[:9]).float() / 255)
