"""Datasets of random images, for benchmarks of reading them."""

import numpy as np

from trainables.datasets.blocks import BLOCK_BYTES, block_record, encoded_block
from trainables.datasets.manifest import Block, Manifest, Split, write_manifest
from trainables.storage import Storage

CLASSES = 10
SHAPE = (3, 32, 32)


def write_noise(storage: Storage, samples: int) -> Manifest:
    """Write a dataset of images of CIFAR's shape, block by block, as ingest does; labels in turn."""
    drawn, rows = np.random.default_rng(0), -(-BLOCK_BYTES // int(np.prod(SHAPE)))
    blocks: list[Block] = []
    for first in range(0, samples, rows):
        label_N = np.arange(first, min(first + rows, samples)) % CLASSES
        images = np.frombuffer(drawn.bytes(len(label_N) * int(np.prod(SHAPE))), np.uint8).reshape(-1, *SHAPE)
        content, count = encoded_block("pixels", images, {"label": label_N})
        blocks.append(block_record("train", len(blocks), content, count))
        storage.write(blocks[-1].file, content)
    counts = np.bincount(np.arange(samples) % CLASSES, minlength=CLASSES)
    manifest = Manifest(
        kind="images",
        stored="pixels",
        shape=SHAPE,
        classes={"label": tuple(map(str, range(CLASSES)))},
        splits={"train": Split(blocks=tuple(blocks), per_class={"label": tuple(counts.tolist())})},
        licence="CC0-1.0",
        source="drawn",
    )
    write_manifest(storage, manifest)
    return manifest
