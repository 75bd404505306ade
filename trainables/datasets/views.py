"""What a network is shown of the images of a split: as they are, or augmented, in [0, 1], batched on the device."""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.ahead import ahead
from trainables.datasets.augmentation import Augmentation, ResizedCrop
from trainables.datasets.dataset import Dataset
from trainables.datasets.decoding import decoded
from trainables.randomness import per_sample_uniforms

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Fetched:
    """Images of a batch on the host, uint8, and the random numbers that are still to be applied to them."""

    images: Tensor
    uniforms: Tensor | None = None


class Views:
    """Images of a split of a dataset. Every answer is a function of its arguments alone, and threads may ask at once.

    `fetch` reads, and where images are stored encoded also decodes, cuts and resizes; any thread may do it, ahead of
    use. `finish` sends uint8 to the device, a quarter of what is shown, and augments there; it is for the thread that
    trains, since no other may allocate while a CUDA graph is captured.
    """

    def __init__(self, data: Dataset, split: str, augmentation: Augmentation, device: torch.device = _CPU) -> None:
        self.data, self.split, self.augmentation, self.device = data, split, augmentation, device
        self._uniforms = functools.lru_cache(maxsize=4)(self._drawn)  # of two views, in an epoch and the next
        self._cuts = data.manifest.stored == "encoded" and isinstance(augmentation, ResizedCrop)

    def plain(self, sample_B: Tensor) -> Tensor:
        """The images of these samples as they are, (B, C, H, W) in [0, 1]."""
        return self.finish(Fetched(self.data.images(self.split, sample_B)))

    def view(self, sample_B: Tensor, epoch: int, seed: int) -> Tensor:
        """One view of each, (B, C, H, W) in [0, 1]: a function of (seed, epoch, sample), in whatever batch it is."""
        return self.finish(self.fetch(sample_B, epoch, seed))

    def batches(self, samples: Iterable[Tensor], epoch: int, seed: int, workers: int) -> Iterator[Tensor]:
        """The views of these batches, one after the other, fetched ahead by threads."""
        for fetched in ahead(lambda sample_B: self.fetch(sample_B, epoch, seed), samples, workers):
            yield self.finish(fetched)

    def fetch(self, sample_B: Tensor, epoch: int, seed: int) -> Fetched:
        """What is to be done on the host for a view of each of these samples."""
        uniforms = self._uniforms(seed, epoch)[sample_B]
        if self._cuts:
            return Fetched(self._cut(sample_B, uniforms))
        return Fetched(self.data.images(self.split, sample_B), uniforms)

    def finish(self, fetched: Fetched) -> Tensor:
        """What is to be done on the device: (B, C, H, W) in [0, 1]."""
        images = self._sent(fetched.images)
        if fetched.uniforms is not None:
            images = self.augmentation.apply(images, self._sent(fetched.uniforms))
        return images.float().div_(255)

    def _cut(self, sample_B: Tensor, uniforms: Tensor) -> Tensor:
        assert isinstance(self.augmentation, ResizedCrop)
        size = self.data.size_of_images()
        cut = [
            self.augmentation.of_file(decoded(content), size, drawn)
            for content, drawn in zip(self.data.files(self.split, sample_B), uniforms, strict=True)
        ]
        return torch.from_numpy(np.stack(cut))

    def _drawn(self, seed: int, epoch: int) -> Tensor:
        samples = self.data.samples(self.split)
        return torch.from_numpy(per_sample_uniforms(seed, "augmentation", epoch, samples, self.augmentation.draws))

    def _sent(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor
