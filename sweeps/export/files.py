"""A sweep's tables as Parquet files with page checksums, whole or not at all, and where they come from."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.export.tables import NAMES, SweepTables
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.results import Results

#: Folder of a sweep's tables within its own.
FOLDER = "tables"


def tables(sweep: str, results: Results) -> SweepTables:
    """Those of a sweep as its ledger is now. Raises `Refusal` and the ledger's errors."""
    with Ledger.open(results.ledger(results.existing(sweep))) as ledger:
        return SweepTables.of(ledger, History.of(ledger.events()), results)


def stored(folder: Path, uid: str) -> SweepTables | None:
    """The newest tables that are kept in a sweep's folder, of the ledger with this id; None if there are none."""
    found = []
    for place in (folder / FOLDER, folder / "report" / FOLDER):
        with suppress(OSError, pa.ArrowException, KeyError, ValueError):  # none, or none of this version: made again
            found.append(read(place))
    return max((each for each in found if each.about.uid == uid), key=lambda each: each.about.seq, default=None)


def write(tables: SweepTables, folder: Path) -> list[Path]:
    """Each table as ``<name>.parquet`` in `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(table, folder / f"{name}.parquet") for name, table in tables.named().items()]


def read(folder: Path) -> SweepTables:
    """What `write` wrote. Raises OSError and pyarrow's ArrowInvalid for what is not there or not whole."""
    found: Mapping[str, pa.Table] = {
        name: pq.read_table(folder / f"{name}.parquet", page_checksum_verification=True, partitioning=None)
        for name in NAMES
    }
    return SweepTables.by(found)


def _write(table: pa.Table, path: Path) -> Path:
    draft = path.with_name(f".{path.name}.new")
    pq.write_table(table, draft, compression="zstd", write_page_checksum=True)
    draft.replace(path)
    return path
