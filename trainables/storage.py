"""Files of a sweep, wherever they are: a local folder or any URI that `pyarrow.fs` knows (S3, GCS, ...)."""

import errno
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pyarrow as pa
from filelock import FileLock
from pyarrow import fs

from trainables.outcomes import StorageFull

#: What the system says when a disk, a quota or the most that a file may hold is used up.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Storage:
    """A folder. `uri` is a local path or a URI; names are relative to it, with slashes.

    A file is written under a temporary name and renamed, so a reader sees all of it or nothing; object stores, whose
    renames copy, make a finished upload visible at once by themselves.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri if "://" in uri else str(Path(uri).resolve())
        self._filesystem, self._root = fs.FileSystem.from_uri(self.uri)
        self._renames = isinstance(self._filesystem, fs.LocalFileSystem)  # it also maps, and locks

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine, whose files can be mapped."""
        return self._renames

    def folder(self, name: str) -> "Storage":
        """A folder inside this one."""
        return Storage(self.address(name))

    def parent(self) -> "Storage":
        """The folder that this one is in."""
        path, mark, options = self.uri.partition("?")
        return Storage(path.rstrip("/").rpartition("/")[0] + mark + options)

    def address(self, name: str) -> str:
        """Path or URI of something in the folder; what follows a question mark in a URI says how to get there."""
        path, mark, options = self.uri.partition("?")
        return f"{path}/{name}{mark}{options}"

    def read(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError if there is none."""
        with self._filesystem.open_input_stream(f"{self._root}/{name}") as stream:
            return bytes(stream.read())

    def mapped(self, name: str) -> pa.Buffer:
        """The content of a file, mapped into memory where it is local; FileNotFoundError if there is none.

        Writing the file again leaves what was mapped as it was.
        """
        if self._renames:
            return pa.memory_map(f"{self._root}/{name}").read_buffer()
        return pa.py_buffer(self.read(name))

    def alone(self, name: str) -> AbstractContextManager[object]:
        """Holds a lock of this name, which its holder's death releases; does nothing where storage is not local."""
        if not self._renames:
            return nullcontext()
        self._filesystem.create_dir(self._root, recursive=True)
        return FileLock(f"{self._root}/{name}.lock")

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, or leave what was there. Raises `StorageFull` where there is no room for it."""
        path = f"{self._root}/{name}"
        if not self._renames:
            self._write(path, content)
            return
        self._filesystem.create_dir(path.rsplit("/", 1)[0], recursive=True)
        temporary = f"{path}.{uuid.uuid4().hex}.tmp"
        self._write(temporary, content)
        self._filesystem.move(temporary, path)

    def delete(self, name: str) -> None:
        """Delete a file."""
        self._filesystem.delete_file(f"{self._root}/{name}")

    def delete_all(self) -> None:
        """Delete the folder with all that is in it, if it is there."""
        if self._filesystem.get_file_info(self._root).type != fs.FileType.NotFound:
            self._filesystem.delete_dir(self._root)

    def names(self) -> list[str]:
        """Names of the files directly in the folder, sorted; empty if there is no such folder."""
        selector = fs.FileSelector(self._root, allow_not_found=True)
        return sorted(info.base_name for info in self._filesystem.get_file_info(selector) if info.is_file)

    def _write(self, path: str, content: bytes) -> None:
        try:
            with self._filesystem.open_output_stream(path) as stream:
                stream.write(content)
        except OSError as error:
            if self._renames:
                Path(path).unlink(missing_ok=True)  # the name is a temporary one
            if error.errno in _FULL:
                raise StorageFull(f"{path} has no room for {len(content):,} bytes ({error}); free some") from error
            raise
