"""CIFAR-100 (Krizhevsky 2009): distil on its training images, transfer to superclasses that were held out."""

from typing import Literal

from pydantic import Field

from trainables.location import Location
from trainables.tasks.images import Images

_FINE_IN_COARSE = 5  # classes of each of the 20 superclasses


class Cifar100(Images):
    """CIFAR-100, ingested with both its labels: distil some superclasses, transfer to those held out.

    `held_out` are numbers of superclasses in the order of their names: by default fish, flowers, trees and vehicles 1,
    twenty classes. Transfer too to other sets of 32 x 32 pixels, and to corrupted images as in `images`.
    Krizhevsky 2009; ``held_out: []`` with ``validation: 0.0`` is the benchmark of Tian et al. 2020 (arXiv 1910.10699),
    whose figure is ``test/source/top1``.
    """

    name: Literal["cifar100"] = "cifar100"  # type: ignore[assignment]  # of a member of its own
    data: Location = "~/datasets/cifar100"
    label: Literal["fine_label"] = "fine_label"
    held_out: tuple[int, ...] = Field((1, 2, 17, 18), strict=False)
    labels_per_class: int = Field(20, ge=10, le=400)
    image_size: None = None

    @property
    def held_out_column(self) -> str:
        """Superclasses."""
        return "coarse_label"

    @property
    def classes(self) -> int:
        """C: those of the superclasses that are not held out."""
        return len(self.manifest.classes[self.label]) - _FINE_IN_COARSE * len(self.held_out)
