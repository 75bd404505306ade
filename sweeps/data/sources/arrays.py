"""NumPy arrays, never pickled: ``train_images.npy`` and ``train_label.npy``, or one ``train.npz`` with their names."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sweeps.data.faults import Bad, Faults
from sweeps.data.files import Files, in_order, split_of
from sweeps.data.source import COLUMNS, LABELS, ROWS, LabelRows, Rows
from sweeps.refusals import Refusal
from trainables.datasets.manifest import Kind

_SAMPLES: dict[str, Kind] = {name: kind for kind, names in COLUMNS.items() if kind != "text" for name in names}
_CHANNELS = (1, 3)


class Arrays:
    """Images are uint8, N x H x W, or with 1 or 3 channels first or last; embeddings are floats, N x D."""

    licence = None

    def __init__(self, files: Files, faults: Faults) -> None:
        self._faults = faults
        arrays: dict[str, dict[str, _Array]] = {}
        for name in files.ending(".npy", ".npz"):
            for array in self._opened(files, name):
                column = next((c for c in (*_SAMPLES, *LABELS) if array.name.lower().endswith(c)), None)
                if column and (other := arrays.get(split_of(name), {}).get(column)):
                    why = f"{split_of(name)} has its {column} in {other.file} already"
                    faults.add(name, None, array.name, Bad(why, "join the arrays of a split into one"))
                elif column:
                    arrays.setdefault(split_of(name), {})[column] = array
                else:
                    known = ", ".join((*_SAMPLES, *LABELS))
                    faults.add(name, None, array.name, Bad(f"its name says none of: {known}", "rename or remove it"))
        samples = next((column for found in arrays.values() for column in found if column in _SAMPLES), None)
        if samples is None:
            raise Refusal(f"{files.uri} has no array of samples ({', '.join(_SAMPLES)}): {'; '.join(map(str, faults))}")
        self.kind = _SAMPLES[samples]
        self.column = samples
        columns = [name for name in LABELS if any(name in found for found in arrays.values())]
        self.names: dict[str, tuple[str, ...] | None] = dict.fromkeys(columns)
        fitting = {split: found for split, found in arrays.items() if self._fits(split, found)}
        self._arrays = in_order(fitting)
        self.splits = tuple(self._arrays)

    def labels(self, split: str) -> Iterator[LabelRows]:
        """See `Source`."""
        samples = self._arrays[split][self.column]
        for first in range(0, samples.rows, ROWS):
            count = min(ROWS, samples.rows - first)
            columns = {name: self._arrays[split][name].read(first, count).tolist() for name in self.names}
            yield LabelRows(samples.file, first, count, columns)

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """See `Source`."""
        samples = self._arrays[split][self.column]
        for first in range(start, samples.rows, ROWS):
            values = samples.read(first, min(ROWS, samples.rows - first))
            yield Rows(samples.file, first, _channels_first(values) if self.kind == "images" else values)

    def starts(self, split: str) -> Sequence[int]:
        """See `Source`."""
        return range(self._arrays[split][self.column].rows)

    def _opened(self, files: Files, name: str) -> "Iterator[_Array]":
        try:
            if name.endswith(".npz"):
                yield from _members(files, name)
            else:
                yield _Array(files, name, PurePosixPath(name).stem)
        except PermissionError as error:
            self._faults.add(name, None, "", Bad(str(error), "save it with allow_pickle=False", security=True))
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            self._faults.add(name, None, "", Bad(f"it is no array, or is cut off ({error})", "save it again"))

    def _fits(self, split: str, found: "dict[str, _Array]") -> bool:
        """Whether the arrays of a split belong together; what is wrong with them is noted."""
        if self.column not in found:
            file = next(iter(found.values())).file
            self._faults.add(file, None, self.column, Bad(f"{split} has no array of samples", "add it"))
            return False
        samples, wrong = found[self.column], _wrong(found[self.column], self.kind)
        if wrong:
            self._faults.add(samples.file, None, self.column, wrong)
        for name in self.names:
            if name not in found:
                self._faults.add(
                    samples.file, None, name, Bad(f"{split} has no array of it, and others have", "add it")
                )
            elif found[name].shape != (samples.rows,):
                bad = Bad(
                    f"its shape is {found[name].shape}, and there are {samples.rows} samples", "one label for each"
                )
                self._faults.add(found[name].file, None, name, bad)
            else:
                continue
            wrong = Bad("", "")
        return wrong is None


class _Array:
    """An array on disk, read by rows. PermissionError if it holds objects, ValueError if it cannot be read by rows."""

    def __init__(self, files: Files, file: str, name: str, content: NDArray[Any] | None = None) -> None:
        self.file, self.name, self._files, self._content = file, name, files, content
        if content is not None:
            self.shape, self.dtype = content.shape, content.dtype
            return
        with files.open(file) as opened:
            version = npy.read_magic(opened)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            self.shape, fortran, self.dtype = header(opened)
            self._offset, size = opened.tell(), opened.size()
        _refuse_objects(self.dtype)
        if fortran and len(self.shape) > 1:
            raise ValueError("it is in Fortran's order")
        if size - self._offset != self.dtype.itemsize * int(np.prod(self.shape)):
            raise ValueError(f"{size} bytes cannot hold {self.shape} of {self.dtype}")

    @property
    def rows(self) -> int:
        return int(self.shape[0]) if self.shape else 0

    def read(self, first: int, count: int) -> NDArray[Any]:
        if self._content is not None:
            return self._content[first : first + count]
        row = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        with self._files.open(self.file) as opened:
            opened.seek(self._offset + first * row)
            return np.frombuffer(opened.read(count * row), self.dtype).reshape(-1, *self.shape[1:])


def _members(files: Files, name: str) -> Iterator[_Array]:
    """The arrays of an archive, which are read whole: zip files cannot be read from the middle of a member."""
    with files.open(name) as opened, zipfile.ZipFile(opened) as archive:
        for member in archive.namelist():
            with archive.open(member) as stream:
                try:
                    content = npy.read_array(stream, allow_pickle=False)
                except ValueError as error:
                    raise (PermissionError(_PICKLED) if "Object arrays" in str(error) else error) from error
                yield _Array(files, name, member.removesuffix(".npy"), content)


_PICKLED = "it holds pickled objects, which may run code"


def _refuse_objects(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise PermissionError(_PICKLED)


def _wrong(samples: _Array, kind: Kind) -> Bad | None:
    shape, dtype = samples.shape, samples.dtype
    if kind == "embeddings":
        if dtype.kind != "f" or len(shape) != 2:
            return Bad(f"it is {dtype} {shape}", "save embeddings as floats, N x D")
    elif dtype != np.uint8:
        return Bad(f"it is {dtype}", "save images as uint8, 0 to 255")
    elif len(shape) != 3 and not (len(shape) == 4 and {shape[1], shape[3]} & set(_CHANNELS)):
        return Bad(f"its shape is {shape}", "save images as N x H x W, with 1 or 3 channels first or last if any")
    return None


def _channels_first(images: NDArray[Any]) -> NDArray[Any]:
    if images.ndim == 3:
        return images[:, None]
    return images if images.shape[1] in _CHANNELS else images.transpose(0, 3, 1, 2)
