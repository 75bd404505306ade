"""Every block is what was written, or the dataset is refused; what lies in an object store is copied block by block."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from trainables.datasets.manifest import Block, Manifest
from trainables.outcomes import DamagedFile
from trainables.storage import Storage


def default_cache() -> Path:
    """Where datasets of object stores are kept on this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contrastive-sweeps" / "datasets"


def checked(storage: Storage, manifest: Manifest, cache: Path) -> Storage:
    """The storage itself, where it is local, with every block checked; else a copy of all blocks, checked too.

    Raises `DamagedFile` that names a block which is not what was written.
    """
    if storage.local:
        for_each_block(manifest, lambda block: check_block(storage, block))
        return storage
    copy = Storage(str(cache / manifest.digest))
    for_each_block(manifest, lambda block: _copy(storage, copy, block))
    return copy


def for_each_block(manifest: Manifest, work: Callable[[Block], None]) -> None:
    """Do something to every block, some at a time; the first error is raised."""
    blocks = [block for split in manifest.splits.values() for block in split.blocks]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(work, blocks):
            pass


def check_block(storage: Storage, block: Block) -> None:
    """Raise `DamagedFile` if a block is not what was written."""
    file = storage.address(block.file)
    try:
        _check(file, storage.mapped(block.file), block)
    except FileNotFoundError:
        raise DamagedFile(f"{file} is missing; ingest the dataset again") from None


def _check(file: str, content: pa.Buffer | bytes, block: Block) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != block.sha256:
        raise DamagedFile(f"{file} has SHA-256 {found}, the manifest says {block.sha256}; ingest the dataset again")


def _copy(storage: Storage, copy: Storage, block: Block) -> None:
    try:
        check_block(copy, block)
    except DamagedFile:
        content = storage.read(block.file)
        _check(storage.address(block.file), content, block)
        copy.write(block.file, content)
