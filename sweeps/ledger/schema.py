"""Tables of a ledger and the engine that reaches them: the only page that knows SQLite from PostgreSQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, create_engine, event, inspect, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateSchema

SCHEMA_VERSION = 2  # older ones: `sweeps.ledger.migration`
LEDGER_FILE = "ledger.db"

METADATA = MetaData()

#: One row: a database (or PostgreSQL schema) holds one sweep.
SWEEP = Table(
    "sweep",
    METADATA,
    Column("id", String(63), primary_key=True),
    Column("uid", String(32), nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("spec", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("owner_host", String(255)),
    Column("owner_pid", Integer),
    Column("head", String(64)),  # digest of the last event (`sweeps.ledger.chain`)
)

EVENTS = Table(
    "events",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String(40), nullable=False),
    Column("key", String(255), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("trial", Integer, index=True),
    Column("body", Text, nullable=False),
    Column("digest", String(64)),
    sqlite_autoincrement=True,
)

_WAIT_FOR_LOCK_S = 30

#: How a URL names its schema: libpq's options of a session.
_SEARCH_PATH = "-csearch_path="


def ledger_url(location: str | Path) -> URL:
    """Database of a sweep: `ledger.db` in a local folder, or a `postgresql://` URL as it is."""
    if isinstance(location, str) and location.startswith("postgresql"):
        return make_url(location)
    return URL.create("sqlite", database=str(Path(location) / LEDGER_FILE))


def in_schema(database: URL, sweep: str) -> URL:
    """The URL of a sweep's own schema in a PostgreSQL database."""
    return database.update_query_dict({"options": f"{_SEARCH_PATH}{sweep}"})


def shown(location: str | Path) -> str:
    """A location for a message: without a password."""
    return str(location) if isinstance(location, Path) else ledger_url(location).render_as_string()


def make_tables(connection: Connection) -> None:
    """The tables of a ledger, and the schema that the connection's URL names, where it names one."""
    options = str(connection.engine.url.query.get("options", ""))
    if options.startswith(_SEARCH_PATH):
        connection.execute(CreateSchema(options.removeprefix(_SEARCH_PATH)))
    METADATA.create_all(connection, checkfirst=False)


def has_ledger(connection: Connection) -> bool:
    """Whether there is a ledger where the connection looks."""
    return inspect(connection).has_table(SWEEP.name)


def newest_schemas(database: URL) -> list[str]:
    """The schemas of a PostgreSQL database that hold a ledger, the one written last first."""
    engine = open_engine(database)
    try:
        with engine.begin() as connection:
            tables = inspect(connection)
            ledgers = [name for name in tables.get_schema_names() if tables.has_table(SWEEP.name, schema=name)]
            latest = {name: connection.scalar(text(f'SELECT max(at) FROM "{name}".{EVENTS.name}')) for name in ledgers}
    finally:
        engine.dispose()
    return sorted(ledgers, key=lambda name: latest[name] or "", reverse=True)


def open_engine(url: URL) -> Engine:
    """An engine whose transactions are real ones: what commits is on the disk, and readers do not block the writer."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _WAIT_FOR_LOCK_S})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def new_database(url: URL) -> Iterator[Engine]:
    """An engine on a database that nobody else has yet. Raises FileExistsError if there is a file already.

    A SQLite file gets its name only when the block is done, so nobody ever sees one that is half made.
    """
    if url.get_backend_name() != "sqlite":
        engine = open_engine(url)
        try:
            yield engine
        finally:
            engine.dispose()
        return
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    engine = open_engine(url.set(database=str(draft)))
    try:
        yield engine
        engine.dispose()  # the last connection to close moves the log into the file
        path.hardlink_to(draft)  # unlike a renaming, refuses to replace
    finally:
        engine.dispose()
        draft.unlink(missing_ok=True)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin in `_begin`: the driver would leave DDL outside of them
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def storage_problems(connection: Connection) -> list[str]:
    """What the database itself finds wrong with its pages and indexes. PostgreSQL checks its own.

    Raises `DatabaseError` where it cannot even look.
    """
    if connection.dialect.name != "sqlite":
        return []
    rows: list[Any] = list(connection.exec_driver_sql("PRAGMA integrity_check").scalars())
    return [str(row) for row in rows if row != "ok"]


def is_damage(error: DatabaseError) -> bool:
    """Whether SQLite says that the file itself is damaged; one that it cannot write may be so, too, by its header.

    An empty file is a database to it, without tables: a plain error.
    """
    name = getattr(error.orig, "sqlite_errorname", "")
    return name == "SQLITE_ERROR" or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY"))


def is_locked(error: DatabaseError) -> bool:
    """Whether SQLite gave up waiting for another process to end its write."""
    return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")
