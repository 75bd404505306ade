"""At most one live driver per sweep. The operating system lets go of the lock when the driver dies, however it dies."""

from contextlib import suppress
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

#: The identity of the table, so that each sweep of a database has a lock of its own.
_TABLE = "'sweep'::regclass::oid::bigint"


class DriverLock(Protocol):
    """A lock that its holder's death releases."""

    def acquire(self) -> bool:
        """Whether the lock is ours now. Never waits."""

    def release(self) -> None:
        """Let go. Does nothing when the lock is not held."""


def driver_lock(engine: Engine) -> DriverLock:
    """A file lock beside a SQLite ledger; on PostgreSQL a lock of a session that stays open."""
    if engine.dialect.name == "sqlite":
        return _BesideFile(f"{engine.url.database}.lock")
    return _OfSession(engine)


class _BesideFile:
    def __init__(self, path: str) -> None:
        # Claimed by one thread, released by another (a signal handler, an exit hook).
        self._lock = FileLock(path, timeout=0, thread_local=False)

    def acquire(self) -> bool:
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def release(self) -> None:
        self._lock.release()


class _OfSession:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Connection | None = None

    def acquire(self) -> bool:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        held = session.scalar(text(f"SELECT pg_try_advisory_lock({_TABLE})"))
        if not held:
            session.close()
            return False
        self._session = session
        return True

    def release(self) -> None:
        if self._session is not None:
            with suppress(DBAPIError):  # a session that broke has let go
                self._session.execute(text(f"SELECT pg_advisory_unlock({_TABLE})"))
            self._session.invalidate()  # ends the session; the server takes a moment to notice that
            self._session.close()
            self._session = None
