"""The files of a source, in a local folder or any URI that `pyarrow.fs` knows, and the split that each belongs to."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

T = TypeVar("T")

#: What the splits of a dataset are called, and what else people call them.
SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


class Files:
    """Names are relative to the source, with slashes, in an order that does not change. Hidden files are left out.

    FileNotFoundError if there is nothing at `uri`, which may be a file, too.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri if "://" in uri else str(Path(uri).resolve())
        self._filesystem, self._root = fs.FileSystem.from_uri(self.uri)
        info = self._filesystem.get_file_info(self._root)
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError(self.uri)
        if info.is_file:
            infos, self._root = [info], info.path.rpartition("/")[0]
        else:
            infos = self._filesystem.get_file_info(fs.FileSelector(self._root, recursive=True))
        self._infos = {
            info.path[len(self._root) :].lstrip("/"): info
            for info in sorted(infos, key=lambda info: info.path)
            if info.is_file
        }
        self.names = [name for name in self._infos if not any(part.startswith(".") for part in name.split("/"))]
        #: How many samples a file holds, of those that tell nothing of it, once they were read to their end.
        self.rows: dict[str, int] = {}

    def keep(self, splits: Iterable[str]) -> None:
        """Leave out the files of other splits."""
        self.names = [name for name in self.names if split_of(name) in splits]

    def ending(self, *ends: str) -> list[str]:
        """The names with one of these endings, in whatever case."""
        return [name for name in self.names if name.lower().endswith(ends)]

    def open(self, name: str) -> pa.NativeFile:
        """A file, to read from anywhere in it."""
        return self._filesystem.open_input_file(f"{self._root}/{name}")

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self.open(name) as file:
            return bytes(file.read())

    def starts(self, names: Sequence[str]) -> list[int]:
        """The rows of a split at which its files begin, all of which were read."""
        return list(accumulate((self.rows[name] for name in names), initial=0))[:-1]

    def note(self, name: str, rows: int) -> None:
        """How many samples a file holds. What was known stands: who reads fewer, reads badly."""
        self.rows.setdefault(name, rows)

    def from_row(self, names: Sequence[str], start: int) -> Iterator[tuple[str, int]]:
        """Those of a split's files that hold row `start` and what follows, each with its own row to begin at.

        Who reads one notes its `rows`; those before `start` whose rows are noted are not read again.
        """
        for name in names:
            if name not in self.rows or start < self.rows[name]:
                yield name, start
            start = max(0, start - self.rows[name])

    def stamps(self) -> list[tuple[str, int, int]]:
        """Name, size and time of change of each file: they differ where what is there is not what was there."""
        return [(name, self._infos[name].size, self._infos[name].mtime_ns or 0) for name in self.names]


def split_of(name: str) -> str:
    """The split that a file's folders or the first word of its name say, such as ``data/train-00000-of-00002.parquet``.

    A file that says none is of the training split.
    """
    path = PurePosixPath(name)
    words = [*path.parts[:-1], re.split(r"[-_.]", path.name)[0]]
    return next((SPLITS[word.lower()] for word in words if word.lower() in SPLITS), "train")


def by_split(names: list[str]) -> dict[str, list[str]]:
    """Files by split, training first."""
    splits: dict[str, list[str]] = {}
    for name in names:
        splits.setdefault(split_of(name), []).append(name)
    return in_order(splits)


def in_order(splits: Mapping[str, T]) -> dict[str, T]:
    """The same, training first."""
    return {split: splits[split] for split in dict.fromkeys(SPLITS.values()) if split in splits}
