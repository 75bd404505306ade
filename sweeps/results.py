"""Where the results of sweeps are: a folder, or a URI of a file system that every node of a cluster reaches.

Ledgers lie with them in a folder, one SQLite file each. Where `SWEEPS_LEDGER` names a PostgreSQL database they lie
there, each in a schema that is called as its sweep: an object store cannot hold one, nor can a shared folder.
"""

import os
import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from search_spaces.secrets import redacted
from sweeps.export.shareable import shareable
from sweeps.ids import check_id, is_id
from sweeps.ledger.schema import LEDGER_FILE, in_schema, newest_schemas
from sweeps.refusals import Refusal, Unsafe

#: Names the database of ledgers. In the environment: it may hold a password, and arguments are seen by everybody.
LEDGERS = "SWEEPS_LEDGER"

#: Where results go unless they are told to go elsewhere.
DEFAULT = "results"

#: Stands in the place of a storage folder whose path others are not told, and what their commands then say of it.
PLACEHOLDER = "STORAGE"
UNTOLD = f" --storage {PLACEHOLDER}"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_SCHEMES = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss")


@dataclass(frozen=True)
class Results:
    """A place for sweeps. `uri` is a path of this machine or a URI; `make` refuses what is neither."""

    uri: str

    def __str__(self) -> str:
        """As it was given."""
        return self.uri

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return not _SCHEME.match(self.uri)

    @property
    def path(self) -> Path:
        """The folder. Raises `Refusal` where it is none of this machine."""
        if not self.is_local:
            raise Refusal(f"this needs a folder of this machine, and --storage is {redacted(self.uri)}. Give --output")
        return Path(self.uri)

    @property
    def absolute(self) -> str:
        """As every process may write it, from whatever directory."""
        return str(Path(self.uri).resolve()) if self.is_local else self.uri.rstrip("/")

    @property
    def flag(self) -> str:
        """What a command that is printed here must say of it: nothing of the default."""
        return "" if self.uri == DEFAULT else f" --storage {shlex.quote(self.uri)}"

    @property
    def shareable_flag(self) -> str:
        """As `flag`, of a command that others may read: they fill in a path that only this machine has."""
        path = Path(self.uri)  # one that climbs may come down in somebody's home
        told = not path.is_absolute() and ".." not in path.parts and shareable(self.uri) == self.uri
        return self.flag if told else UNTOLD

    def folder(self, sweep: str) -> str:
        """Where a sweep keeps its files: an absolute path, or a URI."""
        return f"{self.absolute}/{sweep}"

    def ledger(self, sweep: str) -> Path | str:
        """Where the ledger of a sweep is: its folder, or a URL of its schema in PostgreSQL."""
        database = ledger_database()
        if database is None:
            if not self.is_local:
                raise Refusal(
                    f"a ledger lies on a disk or in PostgreSQL, and {redacted(self.uri)} is neither. Name a database "
                    f"in {LEDGERS}, such as postgresql://user@host/sweeps"
                )
            return self.path / sweep
        return in_schema(database, sweep).render_as_string(hide_password=False)

    def existing(self, sweep: str | None) -> str:
        """The id of a sweep that is meant to be there: `sweep`, or without one the newest.

        Raises `Refusal` for what is no id, and `Unsafe` where a link would lead out of the storage folder.
        """
        chosen = check_id(sweep) if sweep else self.newest()
        self.refuse_links(chosen)
        return chosen

    def newest(self) -> str:
        """The id of the sweep whose ledger was written last; `Refusal` if there is none."""
        sweeps = self.sweeps()
        if not sweeps:
            where = self.absolute if ledger_database() is None else f"the database of {LEDGERS}"
            raise Refusal(
                f"there is no sweep in {redacted(where)}. Run one with `python -m sweeps run`, or give its --storage"
            )
        return sweeps[0]

    def sweeps(self) -> list[str]:
        """Ids of the sweeps, the one whose ledger was written last first."""
        return [sweep for sweep in self._newest_first() if is_id(sweep)]

    def refuse_links(self, sweep: str) -> None:
        """Raise `Unsafe` if a sweep's folder, or the ledger in it, is a symbolic link."""
        folder = self.ledger(sweep)
        if not isinstance(folder, Path):
            return
        for path in (folder, folder / LEDGER_FILE):
            if path.is_symlink():
                raise Unsafe(
                    f"a sweep lies in its storage folder, and {path} is a link to {path.readlink()}. Put the sweep "
                    "itself there, or give the --storage that holds it"
                )

    def check(self) -> None:
        """Raise `Refusal` for a URI that is none of storage."""
        if (rule := _broken(self.uri)) is not None:
            raise Refusal(f"{rule}, and --storage is {redacted(self.uri)}. Give another")

    def make(self) -> None:
        """Make the folder, if need be. Raises `Refusal` unless one may write there."""
        self.check()
        try:
            if self.is_local:
                self.path.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.path):
                    pass
            else:
                _probe(self.uri)
        except OSError as error:
            raise Refusal(
                f"--storage must be a place to write in, and {redacted(self.uri)} is not: {redacted(str(error))}. "
                "Give another"
            ) from error

    def _newest_first(self) -> list[str]:
        """What may be sweeps, by when their ledgers were written last."""
        database = ledger_database()
        if database is not None:
            return newest_schemas(database)
        ledgers = [path for path in self.path.glob(f"*/{LEDGER_FILE}*") if path.is_file()]
        newest = sorted(ledgers, key=lambda path: path.stat().st_mtime, reverse=True)
        return list(dict.fromkeys(path.parent.name for path in newest))


def ledger_database() -> URL | None:
    """The PostgreSQL database of ledgers, if the environment names one. Raises `Refusal` for what is none."""
    given = os.environ.get(LEDGERS)
    if not given:
        return None
    try:
        url = make_url(given)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise Refusal(
            f"ledgers are kept in PostgreSQL, and {LEDGERS} is '{redacted(given)}'. Use postgresql://user@host/database"
        )
    return url


def _broken(uri: str) -> str | None:
    """The rule that a storage URI breaks."""
    if not _SCHEME.match(uri):
        return None
    scheme, _, rest = uri.partition("://")
    if scheme not in _SCHEMES or not rest.strip("/"):
        return f"storage off this machine is a URI of {', '.join(_SCHEMES)}, with a bucket or host after two slashes"
    if "@" in rest and not scheme.startswith("abfs"):  # a password may hold a slash
        return "a storage URI holds no credentials: the environment of every node does"
    return None


def _probe(uri: str) -> None:
    """Write an object and delete it again."""
    from trainables.storage import Storage  # loads pyarrow, which readers of a folder need not wait for

    storage, name = Storage(uri), f".probe-{os.getpid()}"
    storage.write(name, b"")
    storage.delete(name)
