"""Sources by layout. A layout is recognised by its files; `--layout` says it where several would do."""

from collections.abc import Callable
from dataclasses import dataclass

from sweeps.data.faults import Faults
from sweeps.data.files import Files, split_of
from sweeps.data.source import Source
from sweeps.data.sources.arrays import Arrays
from sweeps.data.sources.cifar import Cifar, cifar_files
from sweeps.data.sources.folders import IMAGES, Folders
from sweeps.data.sources.lines import JsonLines, PlainText
from sweeps.data.sources.parquet import Parquet
from sweeps.data.sources.webdataset import WebDataset
from sweeps.refusals import Refusal

Opener = Callable[[Files, Faults], Source]

#: Name, what its files end with, and what reads it. The order is that of recognition.
LAYOUTS: dict[str, tuple[tuple[str, ...], Opener]] = {
    "parquet": ((".parquet",), Parquet),
    "webdataset": ((".tar",), WebDataset),
    "numpy": ((".npy", ".npz"), Arrays),
    "jsonl": ((".jsonl", ".jsonlines"), JsonLines),
    "folders": (IMAGES, Folders),
    "text": ((".txt",), PlainText),
}


_CIFAR = "cifar"
_NAMES = ", ".join([*LAYOUTS, _CIFAR])


def recognised(files: Files) -> str:
    """The layout of these files. Raises `Refusal` if no layout fits."""
    if cifar_files(files):
        return _CIFAR
    for name, (ends, _) in LAYOUTS.items():
        if files.ending(*ends):
            return name
    raise Refusal(f"{files.uri} has no files of a known layout ({_NAMES}); give the folder that holds the data")


@dataclass(frozen=True)
class SourceAt:
    """Where a source lies, which of its splits are meant, and how it is read: all that opens it, on any machine.

    `layout` None is recognised, and without `splits` all are.
    """

    uri: str
    splits: tuple[str, ...] = ()
    layout: str | None = None
    unpickle: bool = False

    def files(self) -> Files:
        """Its files. Raises `Refusal` if there are none, if they cannot be read, or if none is of one of the splits."""
        try:
            files = Files(self.uri)
        except FileNotFoundError:
            raise Refusal(f"there is nothing at {self.uri}; give a folder or file that is there") from None
        except OSError as error:
            raise Refusal(f"{self.uri} cannot be read ({error}); see to its address and permissions") from error
        there = dict.fromkeys(map(split_of, files.names))
        for split in self.splits:
            if split not in there:
                raise Refusal(f"{self.uri} has no files of the split {split}; it has {', '.join(there)}")
        if self.splits:
            files.keep(self.splits)
        return files

    def open(self, files: Files, faults: Faults) -> Source:
        """The source in `files`. Raises `Refusal` if no layout fits, or if it is pickled and that was not asked for."""
        layout = self.layout or recognised(files)
        if layout == _CIFAR:
            if not self.unpickle:
                raise Refusal(
                    f"{files.uri} holds pickles, which may run code; if you trust where it is from, give --unpickle: "
                    "only numbers, strings and arrays are read, and nothing is ever unpickled again"
                )
            return Cifar(files, faults)
        if layout not in LAYOUTS:
            raise Refusal(f"--layout {layout} is none that is known; use one of: {_NAMES}")
        return LAYOUTS[layout][1](files, faults)
