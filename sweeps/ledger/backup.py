"""A copy of a ledger while it is in use, that is one moment of it, whole, and known to be sound.

To restore one, put the folder back where the sweep was, without what SQLite left there (`ledger.db-wal`, `-shm`):
`resume` continues from it. Checkpoints are not in it; a trial whose own are gone begins anew. MLflow may know more than
an older copy: `sync --rebuild` makes them agree.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine
from sqlalchemy.exc import DatabaseError

from sweeps.ledger.errors import BackupRefused, LedgerCorrupt
from sweeps.ledger.schema import LEDGER_FILE, ledger_url
from sweeps.ledger.store import Ledger


def backup(ledger: Ledger, destination: Path) -> int:
    """Copy `ledger` into the folder `destination`, which is made, and return how many events the copy holds.

    It has its name there once it has passed the integrity check, and may lie on a network file system: SQLite's log is
    not used there. Raises `BackupRefused` for a folder with something in it, or a PostgreSQL ledger, and
    `LedgerCorrupt`.
    """
    url = ledger_url(ledger.location)
    if url.get_backend_name() != "sqlite":
        raise BackupRefused(
            f"a ledger in PostgreSQL is copied by PostgreSQL's own tool, and {url.render_as_string()} is one. Use "
            "pg_dump --format=custom --file=ledger.dump DATABASE, and pg_restore to put it back"
        )
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise BackupRefused(f"a backup replaces nothing, and there is something at {destination}. Name a new folder")
    try:
        destination.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackupRefused(
            f"a backup is a folder to write in, and {destination} is none: {error}. Name another"
        ) from error
    draft = destination / f".{LEDGER_FILE}.{uuid4().hex}"
    try:
        _copy(Path(str(url.database)), draft)
        events = _checked(draft)
        draft.rename(destination / LEDGER_FILE)
    except sqlite3.DatabaseError as error:
        raise LedgerCorrupt(f"a ledger must be readable to its end, and {url.database} is not: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return events


def _copy(ledger: Path, draft: Path) -> None:
    """All pages in one step: a copy in several would begin again with each write of the driver."""
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(draft)) as copy:
        source.backup(copy, pages=-1)
        copy.execute("PRAGMA locking_mode=EXCLUSIVE")  # the log that is left needs no shared memory
        copy.execute("PRAGMA journal_mode=DELETE")


def _checked(draft: Path) -> int:
    engine = create_engine(ledger_url(draft.parent).set(database=str(draft)))  # not ours, which would begin a log
    try:
        copy = Ledger.on(engine, draft.parent)
        problems, events = copy.integrity_check(), copy.count()
    except DatabaseError as error:
        problems = [str(error.orig)]
    finally:
        engine.dispose()
    if problems:
        raise LedgerCorrupt(
            f"a backup is sound, and this one is not: {'; '.join(problems)}. The ledger itself is damaged: restore an "
            "earlier backup"
        )
    return events
