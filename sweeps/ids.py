"""Ids of sweeps, checked before they become part of a path, and the folder that holds these."""

import re
import tempfile
from datetime import datetime
from pathlib import Path

from search_spaces.secrets import redacted
from sweeps.ledger.schema import LEDGER_FILE
from sweeps.refusals import Refusal, Unsafe

#: A `Path` has one slash where the URI had two.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_RULE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_id(sweep: str) -> str:
    """`sweep` if it is an id; `Refusal` otherwise."""
    if not _RULE.fullmatch(sweep):
        raise Refusal(
            "a sweep's id has 1 to 63 lower-case letters, digits and hyphens, the first not a hyphen, and this is "
            f"{sweep!r}. Choose another"
        )
    return sweep


def existing(sweep: str | None, storage: Path) -> str:
    """The id of a sweep that is meant to be there: `sweep`, or without one the newest.

    Raises `Refusal` for what is no id, and `Unsafe` where a link would lead out of the storage folder.
    """
    chosen = check_id(sweep) if sweep else newest(storage)
    refuse_links(storage / chosen)
    return chosen


def refuse_links(folder: Path) -> None:
    """Raise `Unsafe` if a sweep's folder, or the ledger in it, is a symbolic link."""
    for path in (folder, folder / LEDGER_FILE):
        if path.is_symlink():
            raise Unsafe(
                f"a sweep lies in its storage folder, and {path} is a link to {path.readlink()}. Put the sweep itself "
                "there, or give the --storage that holds it"
            )


def new_id(name: str) -> str:
    """An id for a new sweep: its name and the time."""
    return f"{name[:47].rstrip('-')}-{datetime.now():%Y%m%d-%H%M%S}"


def ids(storage: Path) -> list[str]:
    """Ids of the sweeps in a storage folder, the one whose ledger was written last first."""
    ledgers = [
        path for path in storage.glob(f"*/{LEDGER_FILE}*") if path.is_file() and _RULE.fullmatch(path.parent.name)
    ]
    ledgers.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return list(dict.fromkeys(path.parent.name for path in ledgers))


def newest(storage: Path) -> str:
    """The id of the sweep whose ledger was written last; `Refusal` if there is none."""
    found = ids(storage)
    if not found:
        raise Refusal(
            f"there is no sweep in {storage.resolve()}. Run one with `python -m sweeps run`, or give its --storage"
        )
    return found[0]


def make_storage(storage: Path) -> None:
    """Make the folder that holds sweeps, if need be. Raises `Refusal` unless one may write there."""
    if _URI.match(str(storage)):
        raise Refusal(f"--storage is a folder of this machine, and {redacted(str(storage))} is a URI. Give a folder")
    try:
        storage.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=storage):
            pass
    except OSError as error:
        raise Refusal(f"--storage must be a folder to write in, and {storage} is not: {error}. Give another") from error
