"""How much a dataset holds, or what is to become one, of what: what `check`, `describe` and `ingest` tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from trainables.datasets.manifest import Kind, Manifest, Stored


@dataclass(frozen=True)
class Content:
    """Samples by split, and those of train by class for each column of labels; a sample is stored in this `shape`."""

    kind: Kind
    stored: Stored
    shape: tuple[int, ...]
    splits: Mapping[str, int]
    per_class: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """What was ingested."""
        splits = {name: split.samples for name, split in manifest.splits.items()}
        per_class = manifest.splits["train"].per_class
        return cls(manifest.kind, manifest.stored, manifest.shape, splits, per_class)

    @property
    def form(self) -> str:
        """How samples are stored."""
        return f"{self.stored} of {' x '.join(map(str, self.shape))}" if self.shape else self.stored

    def counts(self) -> list[str]:
        """A line for each split and each column of labels."""
        return [
            *(f"  {name}: {samples:,} samples" for name, samples in self.splits.items()),
            *(
                f"  {column}: {len(counts)} classes, {_span(counts)} samples each in train"
                for column, counts in self.per_class.items()
            ),
        ]


def _span(counts: tuple[int, ...]) -> str:
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
