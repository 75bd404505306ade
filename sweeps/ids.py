"""Ids of sweeps, checked before they become part of a path, and the folder that holds these."""

import re
import tempfile
from datetime import datetime
from pathlib import Path

from sweeps.refusals import Refusal

_RULE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_id(sweep: str) -> str:
    """`sweep` if it is an id; `Refusal` otherwise."""
    if not _RULE.fullmatch(sweep):
        raise Refusal(
            "a sweep's id has 1 to 63 lower-case letters, digits and hyphens, the first not a hyphen, and this is "
            f"{sweep!r}. Choose another"
        )
    return sweep


def new_id(name: str) -> str:
    """An id for a new sweep: its name and the time."""
    return f"{name[:47].rstrip('-')}-{datetime.now():%Y%m%d-%H%M%S}"


def newest(storage: Path) -> str:
    """The id of the sweep whose ledger was written last; `Refusal` if there is none."""
    ledgers = [path for path in storage.glob("*/ledger.db*") if path.is_file() and _RULE.fullmatch(path.parent.name)]
    if not ledgers:
        raise Refusal(
            f"there is no sweep in {storage.resolve()}. Run one with `python -m sweeps run`, or give its --storage"
        )
    return max(ledgers, key=lambda path: path.stat().st_mtime).parent.name


def make_storage(storage: Path) -> None:
    """Make the folder that holds sweeps, if need be. Raises `Refusal` unless one may write there."""
    try:
        storage.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=storage):
            pass
    except OSError as error:
        raise Refusal(f"--storage must be a folder to write in, and {storage} is not: {error}. Give another") from error
