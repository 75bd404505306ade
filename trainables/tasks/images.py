"""Any ingested set of images."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from trainables.base import Misfit
from trainables.datasets.augmentation import Augmentation, PadCrop
from trainables.datasets.dataset import Dataset
from trainables.datasets.manifest import Kind
from trainables.datasets.views import Views
from trainables.evidence import ImageSplit, TransferSet
from trainables.location import Location, storage_at
from trainables.tasks.corruptions import CORRUPTIONS, Corrupted, Corruption, Severity
from trainables.tasks.stored import StoredTask, View, manifest_at


class Images(StoredTask):
    """An ingested set of images: distil its classes, transfer to those held out, to other sets and to corrupted images.

    `image_size` is what images of different sizes are brought to. The transfer set ``corrupted`` shows the images of
    ``source`` under `corruptions` at `severities`, one of them each, in the style of Hendrycks and Dietterich 2019
    (arXiv 1903.12261); there is none without `corruptions`.
    """

    kind: ClassVar[Kind] = "images"
    reserved: ClassVar[tuple[str, ...]] = ("transfer", "corrupted", "source")

    name: Literal["images"] = "images"
    data: Location = "~/datasets/images"
    image_size: int | None = Field(None, ge=4, le=4096)
    augmentation: Augmentation = Field(PadCrop(), discriminator="name")
    corruptions: tuple[Corruption, ...] = Field(CORRUPTIONS, strict=False)
    severities: tuple[Severity, ...] = Field((1, 3, 5), min_length=1, strict=False)

    @property
    def inputs(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return self.shape_at(self.data)

    @property
    def known_names(self) -> tuple[str, ...]:
        """As they are, and corrupted."""
        return ("corrupted", *super().known_names) if self.corruptions and self.labelled else super().known_names

    def misfits(self) -> Iterator[Misfit]:
        """What the manifests tell, and whether a size is needed."""
        yield from super().misfits()
        if 0 in self.inputs:
            rule = "images of different sizes must be brought to one"
            yield "image_size", self.image_size, rule, "write one, such as 64"

    def shape_at(self, location: str) -> tuple[int, ...]:
        """The shape of the images of a dataset; with zeros where it needs `image_size` and has none."""
        size = self.image_size or 0
        return manifest_at(location).shape or (3, size, size)

    def opened(self, location: str) -> Dataset:
        """A dataset of images, checked."""
        return Dataset.open(storage_at(location), self.image_size)

    def read(self, dataset: Dataset, split: str, index_B: Tensor) -> Tensor:
        """Images (B, channels, height, width) in [0, 1]."""
        return dataset.images(split, index_B).float() / 255

    def viewing(self, dataset: Dataset, split: str) -> View:
        """As `augmentation` says."""
        return Views(dataset, split, self.augmentation).view

    def known_sets(self, source: TransferSet) -> dict[str, TransferSet]:
        """The source as it is and, behind the same probes, corrupted."""
        if not self.corruptions:
            return {"source": source}
        corrupted = TransferSet(source.train, self._corrupted(source.validation), self._corrupted(source.test))
        return {"corrupted": corrupted, "source": source}

    def _corrupted(self, split: ImageSplit) -> ImageSplit:
        return ImageSplit(Corrupted(split.images, self.corruptions, self.severities), split.label_N)
