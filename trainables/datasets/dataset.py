"""A dataset that was ingested, read by sample index: mapped into memory, so that it may be larger than that."""

import bisect
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.datasets.blocks import stored_samples
from trainables.datasets.decoding import decoded, middle
from trainables.datasets.integrity import checked, default_cache
from trainables.datasets.manifest import Kind, Manifest, read_manifest
from trainables.datasets.paging import will_need
from trainables.storage import Storage

Indices = Tensor | NDArray[Any] | Sequence[int]


class Dataset:
    """The samples of an ingested dataset by split and index. Samples of a split are numbered from 0.

    Reading is safe from several threads. `image_size` is what images that are stored encoded, in any size, are brought
    to: the shorter side is resized to it, and the middle is cut out.
    """

    def __init__(self, storage: Storage, manifest: Manifest, image_size: int | None = None) -> None:
        self.storage, self.manifest, self.image_size = storage, manifest, image_size
        self._block = functools.cache(self._mapped)
        self._labels = functools.cache(self._read_labels)

    @classmethod
    def open(cls, storage: Storage, image_size: int | None = None, cache: Path | None = None) -> "Dataset":
        """Open a dataset, after every byte of it was checked.

        One that does not lie in a local folder is copied to `cache` (of this machine; default
        ``~/.cache/contrastive-sweeps/datasets``), which is kept for the next time. Raises FileNotFoundError if there
        is no dataset, and `DamagedFile` naming the first file that is not what was written.
        """
        manifest = read_manifest(storage)
        return cls(checked(storage, manifest, cache or default_cache()), manifest, image_size)

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return self.manifest.digest

    def samples(self, split: str) -> int:
        """N: samples of a split; KeyError if there is no such split."""
        return self.manifest.splits[split].samples

    def labels(self, split: str, column: str | None = None) -> Tensor:
        """The labels of a split, int64 (N,), in a column of labels: the first one by default."""
        column = column or next(iter(self.manifest.classes), None)
        if column not in self.manifest.classes:
            columns = ", ".join(self.manifest.classes) or "none"
            raise KeyError(f"{self.storage.uri} has no labels {column!r}; its columns of labels are: {columns}")
        return self._labels(split, column)

    def images(self, split: str, index_B: Indices) -> Tensor:
        """Images of these samples, uint8 (B, C, H, W)."""
        self._expect("images")
        if self.manifest.stored == "encoded":
            size, files = self.size_of_images(), self._gathered_values(split, index_B)
            return torch.from_numpy(np.stack([middle(decoded(content), size) for content in files]))
        return torch.from_numpy(self._gathered(split, index_B))

    def files(self, split: str, index_B: Indices) -> list[bytes]:
        """The image files of these samples, of a dataset that stores them encoded."""
        if self.manifest.stored != "encoded":
            raise TypeError(f"{self.storage.uri} stores {self.manifest.stored}, not files of images")
        return self._gathered_values(split, index_B)

    def size_of_images(self) -> int:
        """What images that are stored encoded are brought to; ValueError if that was not said."""
        if self.image_size is None:
            raise ValueError(f"images of {self.storage.uri} differ in size; open it with image_size")
        return self.image_size

    def texts(self, split: str, index_B: Indices) -> list[str]:
        """Texts of these samples."""
        self._expect("text")
        return self._gathered_values(split, index_B)

    def vectors(self, split: str, index_B: Indices) -> Tensor:
        """Embeddings of these samples, float32 (B, D)."""
        self._expect("embeddings")
        return torch.from_numpy(self._gathered(split, index_B))

    def _expect(self, kind: Kind) -> None:
        if self.manifest.kind != kind:
            raise TypeError(f"{self.storage.uri} holds {self.manifest.kind}, not {kind}; give a dataset of {kind}")

    def _gathered(self, split: str, index_B: Indices) -> NDArray[Any]:
        """Rows of pixels or vectors, copied out of what is mapped, block by block."""
        index_B = np.asarray(index_B)
        self._check_range(split, index_B)
        ends = np.asarray(self.manifest.splits[split].ends)
        block_B = np.searchsorted(ends, index_B, side="right")
        first = self._samples(split, 0)
        parts = [(number, np.flatnonzero(block_B == number)) for number in np.unique(block_B).tolist()]
        for number, places in parts:
            will_need(self._samples(split, number), index_B[places] - _start(ends, number))
        gathered = np.empty((len(index_B), *first.shape[1:]), dtype=first.dtype)
        for number, places in parts:
            gathered[places] = self._samples(split, number)[index_B[places] - _start(ends, number)]
        return gathered

    def _gathered_values(self, split: str, index_B: Indices) -> list[Any]:
        """Bytes or strings, in the order asked for."""
        index_B = np.asarray(index_B)
        self._check_range(split, index_B)
        ends = self.manifest.splits[split].ends
        values = []
        for index in index_B.tolist():
            number = bisect.bisect_right(ends, index)
            values.append(self._samples(split, number)[index - _start(ends, number)])
        return values

    def _check_range(self, split: str, index_B: NDArray[Any]) -> None:
        samples = self.samples(split)
        outside_B = index_B[(index_B < 0) | (index_B >= samples)]
        if len(outside_B):
            raise IndexError(f"{split} of {self.storage.uri} has samples 0 to {samples - 1}, not {outside_B[0]}")

    def _samples(self, split: str, number: int) -> Any:
        return self._block(split, int(number))[0]

    def _mapped(self, split: str, number: int) -> tuple[Any, pa.RecordBatch]:
        buffer = self.storage.mapped(self.manifest.splits[split].blocks[number].file)
        batch = pa.ipc.open_file(buffer).get_batch(0)
        return stored_samples(self.manifest.stored, self.manifest.shape, batch), batch

    def _read_labels(self, split: str, column: str) -> Tensor:
        parts = [
            self._block(split, number)[1].column(column) for number in range(len(self.manifest.splits[split].blocks))
        ]
        return torch.from_numpy(np.concatenate([part.to_numpy() for part in parts] or [np.empty(0, np.int64)]))


def _start(ends: Any, number: int) -> int:
    return int(ends[number - 1]) if number else 0
