"""Samples of a source as they are stored: where that is done is the seam between one machine and a cluster."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.data.faults import Bad
from sweeps.data.samples import Converter
from sweeps.data.source import Rows, Source
from trainables.datasets.ahead import ahead


@dataclass(frozen=True)
class Converted:
    """Rows whose values are what is stored of them, or a `Bad`, and a hash of each (0 of a `Bad`)."""

    rows: Rows
    hashes: list[int]


#: Reads rows of a split, given as spans that follow on each other up to its end, and converts them: in order, whoever
#: does it, and wherever.
Conversion = Callable[[Source, str, Sequence[range], Converter], Iterator[Converted]]


def converted_here(source: Source, split: str, spans: Sequence[range], convert: Converter) -> Iterator[Converted]:
    """The `Conversion` of one machine: read as one stream, decoded by a thread for each core."""
    return ahead(lambda rows: converted(rows, convert), source.samples(split, spans[0].start), os.cpu_count() or 1)


def converted(rows: Rows, convert: Converter) -> Converted:
    """What is stored of some rows."""
    values = convert.convert(rows)
    hashes = [0 if isinstance(value, Bad) else sample_hash(value) for value in values]
    return Converted(Rows(rows.file, rows.first, values), hashes)


def sample_hash(sample: Any) -> int:
    """64 bits that tell samples apart."""
    return int.from_bytes(hashlib.blake2b(content(sample), digest_size=8).digest(), "little")


def content(sample: Any) -> bytes:
    """The bytes of a sample as it is stored."""
    if isinstance(sample, str):
        return sample.encode()
    return sample if isinstance(sample, bytes) else bytes(sample.tobytes())
