"""The CIFAR files as torchvision keeps them: pickled dicts of an array N x 3,072 and lists of labels.

They are read once, here, by an unpickler that knows arrays, and no other class or function.
"""

import io
import pickle
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

from sweeps.data.faults import Bad, Faults
from sweeps.data.files import Files
from sweeps.data.source import ROWS, LabelRows, Rows
from sweeps.refusals import Refusal, Unsafe
from trainables.datasets.manifest import Kind

_VALUES = 3 * 32 * 32
_CIFAR_100 = {"train": ("train",), "test": ("test",)}
_CIFAR_10 = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_NAMES = {"fine_labels": "fine_label", "coarse_labels": "coarse_label", "labels": "label"}
_META = {"fine_label": "fine_label_names", "coarse_label": "coarse_label_names", "label": "label_names"}


def cifar_files(files: Files) -> list[str]:
    """Names of the CIFAR files, if they are there: those without an ending, beside a `meta` or `batches.meta`."""
    folders = {
        PurePosixPath(name).parent for name in files.names if PurePosixPath(name).name in ("meta", "batches.meta")
    }
    known = {name for parts in (_CIFAR_100, _CIFAR_10) for names in parts.values() for name in names}
    return [name for name in files.names if PurePosixPath(name).parent in folders and PurePosixPath(name).name in known]


class Cifar:
    """CIFAR-10 or CIFAR-100: `label`, or `fine_label` and `coarse_label`, with the names in `meta`."""

    kind: Kind = "images"
    column = "data"
    licence = None

    def __init__(self, files: Files, faults: Faults) -> None:
        self._files, self._faults = files, faults
        by_name = {PurePosixPath(name).name: name for name in cifar_files(files)}
        parts = _CIFAR_10 if "data_batch_1" in by_name else _CIFAR_100
        self._parts = {split: [by_name[name] for name in names if name in by_name] for split, names in parts.items()}
        for split, names in parts.items():
            for name in set(names) - set(by_name):
                faults.add(name, None, "", Bad(f"the file is missing, and {split} is not whole without it", "fetch it"))
        self.splits = tuple(split for split, names in self._parts.items() if names)
        if not self.splits:
            raise Refusal(f"{files.uri} has none of the CIFAR files; give the folder that holds `train` and `test`")
        meta = next(name for name in files.names if PurePosixPath(name).name in ("meta", "batches.meta"))
        said = self._read(meta)
        first = self._read(self._parts[self.splits[0]][0])
        self.names: dict[str, tuple[str, ...] | None] = {
            _NAMES[key]: tuple(_words(said.get(_META[_NAMES[key]]))) or None for key in _NAMES if key in first
        }

    def labels(self, split: str) -> Iterator[LabelRows]:
        """See `Source`."""
        for name in self._parts[split]:
            content = self._read(name)
            count = len(self._images(name, content))
            columns = {_NAMES[key]: list(content.get(key, [])) for key in _NAMES if _NAMES[key] in self.names}
            for column, values in columns.items():
                if len(values) != count:
                    bad = Bad(f"it has {len(values)} labels, and {count} images", "fetch the file again")
                    self._faults.add(name, None, column, bad)
                columns[column] = (values + [None] * count)[:count]
            self._files.note(name, count)
            yield LabelRows(name, 0, count, columns)

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """See `Source`."""
        for name, begin in self._files.from_row(self._parts[split], start):
            images = self._images(name, self._read(name))
            self._files.note(name, len(images))
            for first in range(begin, len(images), ROWS):
                yield Rows(name, first, images[first : first + ROWS])

    def starts(self, split: str) -> Sequence[int]:
        """See `Source`."""
        return self._files.starts(self._parts[split])

    def _images(self, name: str, content: dict[str, Any]) -> Any:
        data = content.get("data")
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _VALUES:
            found = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
            self._faults.add(name, None, "data", Bad(f"it is {found}, not uint8 N x {_VALUES}", "fetch the file again"))
            return np.empty((0, 3, 32, 32), dtype=np.uint8)
        return data.reshape(-1, 3, 32, 32)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = _Unpickler(io.BytesIO(self._files.read(name)), encoding="bytes").load()
        except Unsafe:
            raise
        except Exception as error:  # a torn pickle raises nearly anything
            self._faults.add(name, None, "", Bad(f"it is no pickle, or is cut off ({error!r})", "fetch the file again"))
            return {}
        if not isinstance(content, dict):
            self._faults.add(
                name, None, "", Bad(f"it holds a {type(content).__name__}, not a dict", "fetch the file again")
            )
            return {}
        return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in content.items()}


class _Unpickler(pickle.Unpickler):
    """Knows what a pickled array is made of, and nothing else."""

    _ALLOWED: ClassVar[dict[tuple[str, str], str]] = {
        ("numpy.core.multiarray", "_reconstruct"): "numpy._core.multiarray",  # as older versions of NumPy called it
        ("numpy._core.multiarray", "_reconstruct"): "numpy._core.multiarray",
        ("numpy", "ndarray"): "numpy",
        ("numpy", "dtype"): "numpy",
        ("_codecs", "encode"): "_codecs",
    }

    def find_class(self, module: str, name: str) -> Any:
        """The object of this name, if it is one of those allowed."""
        if (module, name) not in self._ALLOWED:
            raise Unsafe(f"the pickle asks for {module}.{name}, which no CIFAR file needs; do not use a file like this")
        return super().find_class(self._ALLOWED[module, name], name)


def _words(values: Any) -> list[str]:
    words = values if isinstance(values, list) else []
    return [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words]
