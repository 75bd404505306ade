"""What is wrong with a dataset that was ingested: damage first, then whatever does not follow from its manifest."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sweeps.data.faults import Bad, Faults
from sweeps.data.samples import Converter
from sweeps.data.source import Rows
from trainables.datasets.blocks import SAMPLE, stored_samples
from trainables.datasets.integrity import check_block
from trainables.datasets.manifest import Block, Manifest
from trainables.outcomes import DamagedFile
from trainables.storage import Storage

_AGAIN = "ingest the dataset again"


def check_dataset(storage: Storage, manifest: Manifest, faults: Faults, progress: Callable[[int, int], None]) -> None:
    """Find all faults of a dataset: every block is read, and every sample decoded."""
    done = 0
    for name, split in manifest.splits.items():
        counts = {column: np.zeros(len(names), dtype=np.int64) for column, names in manifest.classes.items()}
        for block in split.blocks:
            for column, labels in _check(storage, manifest, block, faults).items():
                counts[column] += np.bincount(labels, minlength=len(counts[column]))
            done += block.rows
            progress(done, manifest.samples)
        for column, found in counts.items():
            if tuple(found.tolist()) != split.per_class.get(column) and not faults.refuse:
                bad = Bad(f"the samples of {name} per class are not those of the manifest", _AGAIN)
                faults.add(name, None, column, bad)


def _check(storage: Storage, manifest: Manifest, block: Block, faults: Faults) -> dict[str, Any]:
    """Check one block. Its labels by column, of those columns that are as they should be."""
    try:
        check_block(storage, block)
        batch = pa.ipc.open_file(storage.mapped(block.file)).get_batch(0)
    except (DamagedFile, pa.ArrowInvalid) as error:
        bad = Bad(f"it is not what was written ({error})", _AGAIN, security=True)
        faults.add(block.file, None, "", bad)
        return {}
    if batch.num_rows != block.rows:
        faults.add(block.file, None, "", Bad(f"it has {batch.num_rows} rows, the manifest says {block.rows}", _AGAIN))
    missing = [column for column in (SAMPLE, *manifest.classes) if column not in batch.schema.names]
    for column in missing:
        faults.add(block.file, None, column, Bad("the column is missing", _AGAIN))
    if SAMPLE not in missing:
        _check_samples(manifest, block, stored_samples(manifest.stored, manifest.shape, batch), faults)
    return {
        column: labels
        for column, names in manifest.classes.items()
        if column not in missing
        and (labels := _labels(block, column, batch.column(column).to_numpy(), names, faults)) is not None
    }


def _check_samples(manifest: Manifest, block: Block, samples: Sequence[Any], faults: Faults) -> None:
    if manifest.stored == "pixels":
        return  # any bytes are an image
    convert = Converter(manifest.stored, manifest.shape)
    for row, sample in enumerate(convert.convert(Rows(block.file, 0, samples))):
        if isinstance(sample, Bad):
            faults.add(block.file, row, SAMPLE, sample)


def _labels(block: Block, column: str, labels: Any, names: Sequence[str], faults: Faults) -> Any:
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    for row in wrong.tolist():
        faults.add(block.file, row, column, Bad(f"the label {labels[row]} is none of {len(names)} classes", _AGAIN))
    return None if len(wrong) else labels
