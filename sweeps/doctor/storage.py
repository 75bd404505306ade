"""The folder that holds sweeps: may one write there, how fast is what a ledger does, and is there room."""

import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from sweeps.doctor.finding import Finding

#: Where the locks and the shared memory of SQLite's write-ahead log do not work between machines.
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs"}

_ROUNDS = 20
_SLOW_S = 0.1  # a commit; a trial makes a handful
_LEAST_BYTES = 1_000_000_000


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


def filesystem(storage: Path, kind: str | None = None) -> Finding:
    """Whether SQLite's write-ahead log is safe on the filesystem; `kind` is found out if it is not given."""
    kind = kind or filesystem_of(nearest_folder(storage))
    if kind in NETWORK or kind.startswith("fuse."):
        fix = "put --storage on a local disk: SQLite's locks do not hold between machines there"
        return Finding("filesystem", "problem", f"{kind}, which is a network's", fix)
    return Finding("filesystem", "ok", f"{kind}: SQLite's write-ahead log is safe there")


def filesystem_of(folder: Path) -> str:
    """The type of the filesystem that holds a folder, as the system calls it."""
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


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
