"""Where sweeps are kept: may one write there, how fast is what a ledger does, and is there room."""

import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from search_spaces.secrets import redacted
from sweeps.doctor.finding import Finding
from sweeps.ledger.errors import UnsafeFilesystem
from sweeps.ledger.filesystem import check_filesystem, filesystem_of
from sweeps.ledger.schema import open_engine
from sweeps.refusals import Refusal
from sweeps.results import LEDGERS, Results, ledger_database

_ROUNDS = 20
_SLOW_S = 0.1  # a commit; a trial makes a handful
_LEAST_BYTES = 1_000_000_000


def places(results: Results) -> Iterator[Finding]:
    """What there is to say of storage, and of the ledgers in it or in a database."""
    if results.is_local:
        yield writable(results.path)
        yield room(results.path)
    else:
        yield reachable(results)
    try:
        database = ledger_database()
    except Refusal as refusal:
        yield Finding("ledger", "problem", str(refusal), "see there")
        return
    if database is not None:
        yield answers(database)
    elif results.is_local:
        yield filesystem(results.path)
        yield ledger_commits(results.path)
    else:
        yield Finding(
            "ledger", "problem", f"an object store holds no ledger, and {LEDGERS} names no database", "set it"
        )


def reachable(results: Results) -> Finding:
    """An object written to storage that is elsewhere, and deleted again."""
    began = time.perf_counter()
    try:
        results.make()
    except Refusal as refusal:
        return Finding("storage", "problem", str(refusal), "see there")
    found = f"{redacted(results.uri)}: {1000 * (time.perf_counter() - began):.0f} ms to write and delete an object"
    return Finding("storage", "ok", found)


def answers(database: URL) -> Finding:
    """A question to the PostgreSQL that keeps ledgers, asked over a connection that is there."""
    shown = database.render_as_string()
    engine = open_engine(database)
    try:
        with engine.connect() as connection:
            seconds = _median(lambda: connection.execute(text("SELECT 1")))
    except (SQLAlchemyError, ImportError) as error:
        return Finding("ledger", "problem", f"{shown} does not answer: {redacted(str(error))}", f"see {LEDGERS}")
    finally:
        engine.dispose()
    return Finding("ledger", "ok", f"{shown}: {1000 * seconds:.1f} ms for an answer")


def nearest_folder(storage: Path) -> Path:
    """`storage`, or the folder in which it would be made."""
    return next(path for path in (storage.resolve(), *storage.resolve().parents) if path.exists())


def writable(storage: Path) -> Finding:
    """A file written and forced to the disk, as each event of a sweep is; nothing is left behind."""
    folder = nearest_folder(storage)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            seconds = _median(lambda: _write(file.fileno()))
    except OSError as error:
        fix = "give a --storage to write in"
        return Finding("storage", "problem", f"{folder} cannot be written to: {error.strerror}", fix)
    found = f"{folder}: {1000 * seconds:.1f} ms to write and force to the disk"
    if seconds > _SLOW_S:
        return Finding("storage", "warning", found, "put --storage on a local disk")
    return Finding("storage", "ok", found)


def ledger_commits(storage: Path) -> Finding:
    """Commits to a throw-away SQLite database as the ledger makes them (and MLflow, without a server)."""
    try:
        with tempfile.TemporaryDirectory(dir=nearest_folder(storage)) as folder:
            connection = sqlite3.connect(Path(folder) / "probe.db", isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("CREATE TABLE probe (value)")
                seconds = _median(lambda: connection.execute("INSERT INTO probe VALUES (1)"))
            finally:
                connection.close()
    except (OSError, sqlite3.Error) as error:
        return Finding("ledger", "problem", f"SQLite cannot write there: {error}", "give a --storage on a local disk")
    return Finding("ledger", "ok", f"{1000 * seconds:.1f} ms for a commit to SQLite")


def room(storage: Path, free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free) -> Finding:
    """Free disk space. A sweep that fills the disk stops and can be resumed, so little of it is a warning."""
    left = free(nearest_folder(storage))
    found = f"{left / 1e9:.1f} GB free"
    if left < _LEAST_BYTES:
        return Finding("disk", "warning", found, "make room, or give another --storage")
    return Finding("disk", "ok", found)


def filesystem(storage: Path) -> Finding:
    """Whether a ledger may lie there (`sweeps.ledger.filesystem`)."""
    try:
        check_filesystem(storage)
    except UnsafeFilesystem as refusal:
        return Finding("filesystem", "problem", str(refusal), "see there")
    return Finding("filesystem", "ok", f"{filesystem_of(storage.resolve())}: SQLite's write-ahead log is safe there")


def _write(descriptor: int) -> None:
    os.write(descriptor, b"x" * 4096)
    os.fsync(descriptor)


def _median(action: Callable[[], object]) -> float:
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    return statistics.median(took)
