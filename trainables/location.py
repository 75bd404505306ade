"""Where files of the user's lie: said once in a sweep file, and found from the working directory of any worker."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from trainables.storage import Storage


def _same_everywhere(location: str) -> str:
    if location.startswith(("/", "~")) or "://" in location:
        return location
    raise ValueError(
        "must be found from any working directory, those of workers too; write an absolute path, one that starts with "
        "~, or a URI such as s3://bucket/name"
    )


Location = Annotated[str, AfterValidator(_same_everywhere)]
"""An absolute path, one that starts with ``~`` (the home of whoever reads it), or a URI that `pyarrow.fs` knows."""


def expanded(location: str) -> str:
    """The same with ``~`` replaced."""
    return str(Path(location).expanduser()) if location.startswith("~") else location


def storage_at(location: str) -> Storage:
    """The folder at a location."""
    return Storage(expanded(location))


def read_file(location: str) -> bytes:
    """The content of the file at a location; FileNotFoundError if there is none."""
    path, mark, options = expanded(location).partition("?")  # of a URI
    folder, _, name = path.rpartition("/")
    return Storage(f"{folder or '/'}{mark}{options}").read(name)
