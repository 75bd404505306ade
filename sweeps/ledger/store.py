"""The ledger in its database: events are appended by the one driver that holds the sweep, and read by anybody.

What is promised: an event that `append` returned for is on the disk; one that it did not return for is there whole or
not at all; the same event told twice is there once; a driver that another one has replaced can write nothing; what is
read is what was written (`sweeps.ledger.chain`). The log of a SQLite ledger is an exception to the last: SQLite
takes one that was torn for one that ends there.
"""

import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, bindparam, exists, func, insert, null, select, text, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError

from sweeps.events import EVENT, Event
from sweeps.ledger.chain import genesis, link, link_of
from sweeps.ledger.errors import (
    FenceLost,
    LedgerCorrupt,
    LedgerExists,
    LedgerMissing,
    LedgerTooNew,
    LedgerUnreachable,
    NotALedger,
    NotClaimed,
    SweepTaken,
)
from sweeps.ledger.filesystem import check_filesystem
from sweeps.ledger.history import History
from sweeps.ledger.lock import driver_lock
from sweeps.ledger.migration import migrate
from sweeps.ledger.schema import (
    EVENTS,
    SCHEMA_VERSION,
    SWEEP,
    has_ledger,
    is_damage,
    is_locked,
    ledger_url,
    make_tables,
    new_database,
    open_engine,
    shown,
    storage_problems,
)

# What each event takes is put together once: that takes longer than to carry it out.
_HOLD = update(SWEEP).where(SWEEP.c.fence == bindparam("mine")).values(fence=bindparam("mine"))
_KNOWN = select(EVENTS.c.seq).where(EVENTS.c.key == bindparam("told"))
_WRITE = insert(EVENTS)
_MOVE_HEAD = update(SWEEP).values(head=bindparam("newest"))

_PAGE = 1000  # events fetched at a time: a reader holds no transaction open while it works on them


@dataclass(frozen=True)
class Holder:
    """A driver's process."""

    host: str
    pid: int

    def __str__(self) -> str:
        """For a message."""
        return f"process {self.pid} on {self.host}"


class Ledger:
    """One sweep's events. Made by `create` and `open`; close it, or use it as a context manager.

    `sweep` is the sweep's id, `uid` this ledger's own, and `spec` the resolved sweep file. After `claim`, `history` is
    the fold of everything that the ledger holds, kept up to date by `append`: what could not be folded is refused
    before it is written. Appending and reading are safe from any thread.
    """

    def __init__(self, location: str | Path, engine: Engine, row: Row[Any]) -> None:
        self.location = location
        self.sweep: str = row.id
        self.uid: str = row.uid
        self.spec: dict[str, Any] = json.loads(row.spec)
        self.fence: int | None = None
        self.history = History()
        self.version: int = row.schema_version
        self._genesis = self._head = genesis(row.id, row.uid, row.spec)
        self._engine = engine
        self._lock = driver_lock(engine)
        self._appending = threading.Lock()
        self._followed = True  # whether `history` and `_head` are known to be what is written

    @classmethod
    def create(cls, location: str | Path, sweep: str, spec: dict[str, Any]) -> Self:
        """A new ledger in the folder `location` (made if need be) or at a `postgresql://` URL of its own.

        `spec` is the resolved sweep file as JSON values. Raises `LedgerExists`; of several at once, one succeeds. And
        `UnsafeFilesystem`.
        """
        url = ledger_url(location)
        _check_place(url)
        uid, sealed = uuid4().hex, json.dumps(spec)
        row = {"id": sweep, "uid": uid, "spec": sealed, "head": genesis(sweep, uid, sealed)}
        try:
            with new_database(url) as engine, engine.begin() as connection:
                make_tables(connection)
                connection.execute(insert(SWEEP).values(**row, schema_version=SCHEMA_VERSION, fence=0))
        except (FileExistsError, IntegrityError, OperationalError, ProgrammingError) as error:
            with cls.open(location) as found:
                raise LedgerExists(
                    f"a sweep is created once, and {shown(location)} holds the sweep '{found.sweep}' already. "
                    "Resume it, or give the new one another id"
                ) from error
        return cls.open(location)

    @classmethod
    def open(cls, location: str | Path) -> Self:
        """The ledger at `location`, to read or to claim. Raises `LedgerMissing`, `NotALedger`, `LedgerTooNew` or
        `LedgerUnreachable`.
        """
        url = ledger_url(location)
        if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
            raise LedgerMissing(
                f"a sweep's folder holds its ledger, and there is no {url.database}. Check the sweep's id"
            )
        engine = open_engine(url)
        try:
            ledger = cls.on(engine, location)
        except Exception as error:
            engine.dispose()
            if isinstance(error, LedgerTooNew | LedgerMissing):
                raise
            why = " ".join(str(getattr(error, "orig", None) or error).split())
            where = f"no ledger can be read at {url.render_as_string()}: {why}"
            if url.get_backend_name() != "sqlite" and isinstance(error, OperationalError):
                raise LedgerUnreachable(f"{where}. See that PostgreSQL runs, and to the URL, then try again") from error
            if isinstance(error, OperationalError) and not is_damage(error):
                raise LedgerUnreachable(f"{where}. Its folder must be writable, also for readers") from error
            raise NotALedger(
                f"{where}. Its folder must be writable, also for readers; if it is, restore a backup"
            ) from error
        return ledger

    @classmethod
    def on(cls, engine: Engine, location: str | Path) -> Self:
        """The ledger that an engine reaches. Raises `LedgerTooNew`, `LedgerMissing`, or what the database says."""
        with engine.begin() as connection:
            if connection.dialect.name != "sqlite" and not has_ledger(connection):
                raise LedgerMissing(
                    f"a sweep has a ledger, and there is none at {shown(location)}. Check the sweep's id"
                )
            row = connection.execute(text("SELECT * FROM sweep")).one()  # an older one has not all columns
        if row.schema_version > SCHEMA_VERSION:
            raise LedgerTooNew(
                f"this program reads ledgers up to schema version {SCHEMA_VERSION}, and {shown(location)} has version "
                f"{row.schema_version}. Use the version of contrastive-sweeps that wrote it, or a newer one"
            )
        return cls(location, engine, row)

    def claim(self) -> int:
        """Take the sweep for this driver and return its fencing token; every earlier driver is shut out.

        A ledger of an older schema version is brought to today's. Raises `SweepTaken` while another live driver holds
        it, `LedgerCorrupt` if it is damaged or its events do not fold, and `UnsafeFilesystem`.
        """
        _check_place(self._engine.url)
        if not self._lock.acquire():
            holder = self.holder()
            raise SweepTaken(
                f"a sweep has one driver, and '{self.sweep}' is held by {holder}. Wait for it, or stop it and try again"
            )
        try:
            self._check_storage()
            fence = self._next_fence()
            self.history = History.of(self.events())
            self._take_head()
        except BaseException:
            self._lock.release()
            raise
        self.fence = fence
        return fence

    def _check_storage(self) -> None:
        with self._reading() as connection:
            problems = storage_problems(connection)
        if problems:
            raise _corrupt(self.location, "; ".join(problems))

    def _take_head(self) -> None:
        with self._writing() as connection:
            if self.version < SCHEMA_VERSION:
                migrate(connection)
            row = connection.execute(select(SWEEP)).one()
        self.version, self._head = row.schema_version, row.head

    def _next_fence(self) -> int:
        owner = {SWEEP.c.owner_host: socket.gethostname(), SWEEP.c.owner_pid: os.getpid()}
        with self._writing() as connection:
            connection.execute(update(SWEEP).values({SWEEP.c.fence: SWEEP.c.fence + 1, **owner}))
            return int(connection.execute(select(SWEEP.c.fence)).scalar_one())

    def append(self, event: Event) -> int | None:
        """Write `event` and return its sequence number; None if its key is there already, and nothing changed.

        Raises `FenceLost` once another driver has claimed the sweep, and `IllegalEvent` if the event cannot follow
        what the ledger holds.
        """
        if self.fence is None:
            raise NotClaimed(f"only a driver that holds the sweep may append {event.key}. Call claim() first")
        with self._appending:
            at = datetime.now(UTC)
            followed, self._followed = self._followed, False  # until this one is through
            with self._writing() as connection:
                self._hold_fence(connection)
                if not followed:
                    self._follow(connection)
                if connection.scalar(_KNOWN, {"told": event.key}) is not None:
                    return None
                self.history.check(event)
                seq, row = self.history.last_seq + 1, _row(at, event)
                head = link(self._head, seq, **row)
                connection.execute(_WRITE, {"seq": seq, "digest": head, **row})
                connection.execute(_MOVE_HEAD, {"newest": head})
            self.history.apply(seq, at, event)
            self._head = head
            self._followed = True
        return seq

    def _follow(self, connection: Connection) -> None:
        """An append was cut off, by a signal or a lost server: what it wrote may not be in `history`, or in half."""
        head = connection.execute(select(SWEEP.c.head)).scalar_one()
        if head != self._head:
            self.history, self._head = History.of(self.events()), head

    def _hold_fence(self, connection: Connection) -> None:
        # The update locks the row (PostgreSQL) or the database (SQLite) until the commit: no claim can come between,
        # and events become visible in the order of their numbers, which is what lets a reader keep a cursor.
        held = connection.execute(_HOLD, {"mine": self.fence})
        if held.rowcount != 1:
            raise FenceLost(
                f"only the newest claim may write, and '{self.sweep}' was claimed again after token {self.fence}. "
                "End this driver; the other one goes on"
            )

    def events(self, after: int = 0) -> Iterator[tuple[int, datetime, Event]]:
        """Events with a sequence number above `after`, in order, up to the newest. Raises `LedgerCorrupt`."""
        head = None if after else self._genesis
        while True:
            rows = self._page(after)
            for row in rows:
                if row.seq > after:
                    self._check_link(head, row)
                    yield row.seq, datetime.fromisoformat(row.at), _parse(row)
                head = row.digest
            if len(rows) <= _PAGE:
                break
            after = rows[-1].seq
        if self.version > 1 and not (after and not rows):
            self._check_head(head, rows)

    def _check_head(self, head: str | None, rows: Sequence[Row[Any]]) -> None:
        if rows and rows[-1].head != head:
            raise _corrupt(
                self.location, f"its newest events are missing: the last one that is there is {rows[-1].seq}"
            )
        if not rows and self._headless() not in (None, head):
            raise _corrupt(self.location, "its newest events are missing: none is there")

    def _headless(self) -> str | None:
        """The head of a ledger without events; None if there are some by now."""
        with self._reading() as connection:
            return connection.scalar(select(SWEEP.c.head).where(~exists().select_from(EVENTS)))

    def _page(self, after: int) -> Sequence[Row[Any]]:
        """The event with the number `after`, whose digest the next one was made from, and those that follow it."""
        if self.version > 1:
            columns = [*EVENTS.c, select(SWEEP.c.head).scalar_subquery().label("head")]
        else:
            columns = [
                *(each for each in EVENTS.c if each.name != "digest"),
                null().label("digest"),
                null().label("head"),
            ]
        page = select(*columns).where(EVENTS.c.seq >= after).order_by(EVENTS.c.seq).limit(_PAGE + 1)
        with self._reading() as connection:
            return connection.execute(page).all()

    def _check_link(self, before: str | None, row: Row[Any]) -> None:
        if self.version > 1 and before is not None and row.digest != link_of(before, row):
            raise _corrupt(self.location, f"event {row.seq} ({row.key}) or one before it is not what was written")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise _corrupt(self.location, str(error.orig)) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:  # a full disk, or a server that is gone, is no damage
            if is_damage(error):
                raise _corrupt(self.location, str(error.orig)) from error
            if is_locked(error):
                raise SweepTaken(
                    f"a ledger is written by one process at a time, and another one has not let go of {self.location} "
                    "for half a minute: frozen in the middle of a write, perhaps. Let it go on, or end it"
                ) from error
            raise

    def count(self, after: int = 0) -> int:
        """How many events have a sequence number above `after`."""
        with self._engine.begin() as connection:
            return connection.execute(select(func.count()).where(EVENTS.c.seq > after)).scalar_one()

    def integrity_check(self) -> list[str]:
        """Everything that is wrong with the ledger; empty when it is sound: pages, rows and the order of events."""
        try:
            with self._engine.begin() as connection:
                problems = storage_problems(connection)
            History.of(self.events())
        except (LedgerCorrupt, DatabaseError) as error:
            return [str(error)]
        return problems

    def driven(self) -> bool:
        """Whether a live driver holds the sweep now."""
        if self.fence is not None:
            return True
        free = self._lock.acquire()
        if free:
            self._lock.release()
        return not free

    def holder(self) -> Holder | None:
        """The process that claimed the sweep last, alive or not; None if none ever did."""
        with self._reading() as connection:
            row = connection.execute(select(SWEEP.c.owner_host, SWEEP.c.owner_pid)).one()
        return None if row.owner_host is None else Holder(row.owner_host, row.owner_pid)

    def close(self) -> None:
        """Let go of the sweep, if it was claimed, and of the database."""
        self.fence = None
        self._engine.dispose()
        self._lock.release()

    def __enter__(self) -> Self:
        """The ledger itself; `close` follows at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()


def _check_place(url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        check_filesystem(Path(str(url.database)).parent)


def _corrupt(location: str | Path, why: str) -> LedgerCorrupt:
    return LedgerCorrupt(
        f"a ledger is as it was written, to its end, and {shown(location)} is not: {why}. Restore a backup"
    )


def _row(at: datetime, event: Event) -> dict[str, Any]:
    # Not `model_dump_json`, which writes NaN as null: a diverged loss is part of the record.
    body = json.dumps(event.model_dump(mode="json"))
    trial = getattr(event, "trial", None)
    return {"at": at.isoformat(), "key": event.key, "kind": event.kind, "trial": trial, "body": body}


def _parse(row: Row[Any]) -> Event:
    try:
        event = EVENT.validate_json(row.body)
    except ValidationError as error:
        raise LedgerCorrupt(
            f"event {row.seq} ({row.key}): its body is not an event of this version: {error}. "
            "Restore a backup, or open the ledger with the version that wrote it"
        ) from error
    if (event.key, event.kind, getattr(event, "trial", None)) != (row.key, row.kind, row.trial):
        raise LedgerCorrupt(f"event {row.seq}: its body says {event.key}, its row says {row.key}. Restore a backup")
    return event
