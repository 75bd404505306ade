"""Samples per second that a loader makes ready to train on, against torchvision under PyTorch's DataLoader.

    python -m pip install --no-deps --target build/torchvision torchvision==0.28.0
    python -m benchmarks.loader

The work: from 50,000 raw images of CIFAR's shape, uint8, to batches of 128 in a random order, each image padded by 4,
cropped, mirrored half the time, and made float in [0, 1]. Ours reads an ingested dataset that is mapped from disk;
theirs has the array in memory. Theirs is the best of 0, 1 and 2 workers, of images as PIL (as torchvision's CIFAR
gives them) and as tensors. Rounds alternate, and the median counts. Exit 1 if ours is not `CLAIM` times as fast.

Every thread computes by itself alone (`OMP_NUM_THREADS=1`), in both.

Where torchvision's build does not fit torch's (its operators are of another device), its operators are declared empty:
its transforms use none of them.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from benchmarks.stored_noise import write_noise
from trainables.datasets.augmentation import PadCrop
from trainables.datasets.dataset import Dataset
from trainables.datasets.views import Views
from trainables.storage import Storage

CLAIM = 3.0
SAMPLES, BATCH, ROUNDS = 50_000, 128, 3
WORKERS = (0, 1, 2)
BASELINE_SAMPLES = 10_000  # of the 50,000, since it is slow


class PerSample(TorchDataset[Tensor]):
    """What a DataLoader is given: images one by one, each transformed by itself."""

    def __init__(self, images: NDArray[np.uint8], transform: Callable[..., Tensor], as_pil: bool) -> None:
        self.images, self.transform, self.as_pil = images, transform, as_pil

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = self.images[index]
        if self.as_pil:
            return self.transform(Image.fromarray(image.transpose(1, 2, 0)))
        return self.transform(torch.from_numpy(image))


def transforms() -> dict[str, tuple[Callable[..., Tensor], bool]]:
    """torchvision's, for images as PIL and as tensors."""
    sys.path.append(str(Path("build/torchvision").resolve()))
    _declare_operators()
    from torchvision.transforms import v2

    crop, mirror = v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()
    to_float = v2.ToDtype(torch.float32, scale=True)
    return {
        "PIL": (v2.Compose([crop, mirror, v2.ToImage(), to_float]), True),
        "tensor": (v2.Compose([crop, mirror, to_float]), False),
    }


def _declare_operators() -> None:
    """What torchvision looks for on its import, where its own build cannot be loaded beside this torch."""
    library = next(Path(path) for path in sys.path if (Path(path) / "torchvision/_C.so").exists()) / "torchvision/_C.so"
    try:
        torch.ops.load_library(str(library))
    except OSError:
        _KEPT.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _KEPT[0].define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")


_KEPT: list[torch.library.Library] = []


def ours(views: Views, workers: int, epoch: int) -> Iterator[Tensor]:
    """Batches of an epoch of the ingested dataset."""
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
    return views.batches(order.split(BATCH), epoch, 0, workers)


def theirs(images: NDArray[np.uint8], transform: Callable[..., Tensor], as_pil: bool, workers: int) -> Iterator[Tensor]:
    """Batches of an epoch of the array, by DataLoader."""
    loader = DataLoader(PerSample(images, transform, as_pil), BATCH, shuffle=True, num_workers=workers)
    return iter(loader)


def samples_per_second(batches: Iterator[Tensor]) -> float:
    """Of an epoch, after its first batch, so that workers have started."""
    next(batches)
    began, samples = time.perf_counter(), 0
    for batch in batches:
        samples += len(batch)
    return samples / (time.perf_counter() - began)


def main() -> int:
    """Measure, print, and judge the claim."""
    with tempfile.TemporaryDirectory() as folder:
        write_noise(Storage(folder), SAMPLES)
        data = Dataset.open(Storage(folder))
        images = data.images("train", np.arange(BASELINE_SAMPLES)).numpy()
        views = Views(data, "train", PadCrop())
        kinds = transforms()
        measured: dict[tuple[str, int], list[float]] = {}
        for turn in range(ROUNDS):
            for workers in WORKERS:
                measured.setdefault(("ours", workers), []).append(samples_per_second(ours(views, workers, turn)))
                for kind, (transform, as_pil) in kinds.items():
                    rate = samples_per_second(theirs(images, transform, as_pil, workers))
                    measured.setdefault((f"torchvision, {kind}", workers), []).append(rate)
    medians = {key: statistics.median(rates) for key, rates in measured.items()}
    for (name, workers), rate in medians.items():
        print(f"{name:22} {workers} workers {rate:12,.0f} samples/s")
    best = max(rate for (name, _), rate in medians.items() if name == "ours")
    rival = max(rate for (name, _), rate in medians.items() if name != "ours")
    print(f"best against best: {best / rival:.1f} (claimed {CLAIM:g})")
    return 0 if best >= CLAIM * rival else 1


if __name__ == "__main__":
    sys.exit(main())
