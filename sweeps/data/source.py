"""The contract of a source: labels first, all of them, then samples, in the same order, from any row on.

What a source cannot read it puts a `Bad` in the place of, or, for a whole file, notes among the faults and goes on with
the next file: so all faults are found in one pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trainables.datasets.manifest import Kind

#: Columns of labels, the default first, and what samples are called.
LABELS = ("fine_label", "label", "labels", "coarse_label")
COLUMNS: dict[Kind, tuple[str, ...]] = {
    "images": ("img", "image", "images"),
    "text": ("text", "sentence"),
    "embeddings": ("embedding", "embeddings", "emb", "vector"),
}

#: Rows that are read at once.
ROWS = 256


@dataclass(frozen=True)
class Rows:
    """Consecutive samples of a file, the first of which is row `first` of it.

    A value is an encoded image (bytes) or its pixels (uint8, C x H x W), a string, or a vector of numbers; or a `Bad`.
    """

    file: str
    first: int
    values: Any

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class LabelRows:
    """The labels of consecutive samples of a file, by column: whole numbers or names, None where there is none."""

    file: str
    first: int
    count: int
    columns: Mapping[str, list[Any]]


class Source(Protocol):
    """Data in one of the layouts that people have."""

    @property
    def kind(self) -> Kind:
        """What a sample is."""

    @property
    def column(self) -> str:
        """What the source calls its samples."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that it has, training first."""

    @property
    def names(self) -> Mapping[str, tuple[str, ...] | None]:
        """The columns of labels, the default first, and the names of their classes where the source says them."""

    @property
    def licence(self) -> str | None:
        """Under which terms, where the source says so."""

    def labels(self, split: str) -> Iterator[LabelRows]:
        """All rows of a split, also where there are no columns of labels."""

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """The samples of a split, from row `start` of the split on."""

    def starts(self, split: str) -> Sequence[int]:
        """The rows, rising, at which reading may begin without what is before them; asked once labels were read."""
