"""Sources by layout. A layout is recognised by its files; `--layout` says it where several would do."""

from collections.abc import Callable

from sweeps.data.faults import Faults
from sweeps.data.files import Files
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


def open_source(files: Files, faults: Faults, layout: str, unpickle: bool = False) -> Source:
    """The source in these files. Raises `Refusal` if the layout is none, or is pickled and that was not asked for."""
    if layout == _CIFAR:
        if not unpickle:
            raise Refusal(
                f"{files.uri} holds pickles, which may run code; if you trust where it is from, give --unpickle: only "
                "numbers, strings and arrays are read, and nothing is ever unpickled again"
            )
        return Cifar(files, faults)
    if layout not in LAYOUTS:
        raise Refusal(f"--layout {layout} is none that is known; use one of: {_NAMES}")
    return LAYOUTS[layout][1](files, faults)
