"""Small datasets, written as ingest writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainables.datasets.blocks import block_record, encoded_block
from trainables.datasets.manifest import Block, Kind, Manifest, Split, Stored, write_manifest
from trainables.storage import Storage

KINDS: dict[Stored, Kind] = {"pixels": "images", "encoded": "images", "text": "text", "vector": "embeddings"}

Samples = Any  # (N, *shape), or N bytes or strings


def write_dataset(
    storage: Storage,
    stored: Stored,
    splits: Mapping[str, tuple[Samples, Mapping[str, Sequence[int]]]],
    rows_per_block: int = 8,
) -> Manifest:
    """Write a dataset of these samples and labels, with classes named by their numbers."""
    columns = {name: max(max(labels[name]) for _, labels in splits.values()) + 1 for name in _columns(splits)}
    written = {}
    for split, (samples, labels) in splits.items():
        blocks: list[Block] = []
        for first in range(0, len(samples), rows_per_block):
            here = slice(first, first + rows_per_block)
            content, rows = encoded_block(
                stored, samples[here], {name: np.asarray(label_N)[here] for name, label_N in labels.items()}
            )
            blocks.append(block_record(split, len(blocks), content, rows))
            storage.write(blocks[-1].file, content)
        counts = {name: tuple(np.bincount(labels[name], minlength=columns[name]).tolist()) for name in columns}
        written[split] = Split(blocks=tuple(blocks), per_class=counts)
    first_samples = next(iter(splits.values()))[0]
    manifest = Manifest(
        kind=KINDS[stored],
        stored=stored,
        shape=tuple(first_samples.shape[1:]) if stored in ("pixels", "vector") else (),
        classes={name: tuple(map(str, range(count))) for name, count in columns.items()},
        splits=written,
        licence="CC0-1.0",
        source="drawn",
    )
    write_manifest(storage, manifest)
    return manifest


def _columns(splits: Mapping[str, tuple[Samples, Mapping[str, Sequence[int]]]]) -> list[str]:
    return list(next(iter(splits.values()))[1])
