"""A block: consecutive samples as one Arrow record batch in an IPC file, not compressed: a sample is an address.

Compression would make every random access a decompression of its neighbours, and images that are stored encoded, as
well as floats, hardly shrink. Integrity is a SHA-256 of the whole file, which the manifest keeps.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainables.datasets.manifest import Block, Stored

SAMPLE = "sample"

#: A block is full when its samples have so many bytes: large enough to be read in one go, and kept in memory twice.
BLOCK_BYTES = 32 << 20

_TYPES = {"encoded": pa.large_binary(), "text": pa.large_string()}
#: How what is stored as numbers is.
NUMBERS: dict[str, Any] = {"pixels": np.uint8, "vector": np.float32}


def encoded_block(stored: Stored, samples: Any, labels: Mapping[str, NDArray[np.int64]]) -> tuple[bytes, int]:
    """The content of a block's file, and its rows.

    `samples` are an array (N, *shape) of pixels or vectors, or a list of N bytes or strings.
    """
    columns = {SAMPLE: _column(stored, samples)}
    columns |= {name: pa.array(np.asarray(label_N, dtype=np.int64)) for name, label_N in labels.items()}
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes(), batch.num_rows


def block_record(split: str, number: int, content: bytes, rows: int) -> Block:
    """What the manifest keeps of a block. The name of its file holds the start of its SHA-256."""
    sha256 = hashlib.sha256(content).hexdigest()
    file = f"{split}/{number:05d}-{sha256[:16]}.arrow"
    return Block(file=file, rows=rows, bytes=len(content), sha256=sha256)


def stored_samples(stored: Stored, shape: tuple[int, ...], batch: pa.RecordBatch) -> Any:
    """The samples of a block: a view (N, *shape) of what is mapped, or a sequence of bytes or strings."""
    column = batch.column(SAMPLE)
    if stored in _TYPES:
        return Values(column)
    flat = np.frombuffer(column.buffers()[1], dtype=NUMBERS[stored])[: len(column) * math.prod(shape)]
    return flat.reshape(len(column), *shape)


class Values(Sequence[Any]):
    """The bytes or strings of a block, each made when it is asked for."""

    def __init__(self, column: pa.Array) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, index: Any) -> Any:
        return self._column[index].as_py()


def _column(stored: Stored, samples: Any) -> pa.Array:
    if stored in _TYPES:
        return pa.array(samples, type=_TYPES[stored])
    array = np.ascontiguousarray(samples, dtype=NUMBERS[stored])
    width = array[0].nbytes
    return pa.Array.from_buffers(pa.binary(width), len(array), [None, pa.py_buffer(array)])
