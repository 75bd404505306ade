"""Blocks as they are filled, and those that an ingest which was killed has left.

The name of a block holds the start of its SHA-256: one that is there, and is what its name says, is not made again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainables.datasets.blocks import BLOCK_BYTES, block_record, encoded_block
from trainables.datasets.manifest import Block, Stored
from trainables.storage import Storage


class SplitWriter:
    """Writes the samples of a split in blocks, from those on that are there already."""

    def __init__(self, storage: Storage, name: str, stored: Stored, labels: Mapping[str, NDArray[np.int64]]) -> None:
        self.name = name
        self.blocks: list[Block] = []
        self._storage, self._stored, self._labels = storage, stored, labels
        self._samples: list[Any] = []
        self._bytes = 0

    @property
    def rows(self) -> int:
        """Samples that are written."""
        return sum(block.rows for block in self.blocks)

    def found(self) -> Iterator[pa.RecordBatch]:
        """Take over the blocks that are there, one after the other, and give their content."""
        there = {name.partition("-")[0]: f"{self.name}/{name}" for name in self._storage.folder(self.name).names()}
        while file := there.get(f"{len(self.blocks):05d}"):
            content = self._storage.read(file)
            block = block_record(self.name, len(self.blocks), content, rows=1)
            if block.file != file:
                return
            batch = pa.ipc.open_file(content).get_batch(0)
            self.blocks.append(block.model_copy(update={"rows": batch.num_rows}))
            yield batch

    def add(self, sample: Any) -> None:
        """The next sample."""
        self._samples.append(sample)
        self._bytes += sample.nbytes if isinstance(sample, np.ndarray) else len(sample)
        if self._bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if not self._samples:
            return
        here = slice(self.rows, self.rows + len(self._samples))
        labels = {column: numbers[here] for column, numbers in self._labels.items()}
        content, rows = encoded_block(self._stored, self._samples, labels)
        block = block_record(self.name, len(self.blocks), content, rows)
        self._storage.write(block.file, content)
        self.blocks.append(block)
        self._samples, self._bytes = [], 0
