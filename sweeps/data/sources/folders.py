"""Images in a folder for each class, in a folder for each split where there are some: ``train/cat/1.jpg``."""

from collections.abc import Iterator, Sequence
from typing import Any

from sweeps.data.faults import Bad, Faults
from sweeps.data.files import SPLITS, Files, in_order
from sweeps.data.source import LabelRows, Rows
from trainables.datasets.manifest import Kind

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")


class Folders:
    """The classes are the names of the folders, sorted. The row of an image is its place among those of its split."""

    kind: Kind = "images"
    column = "image"
    licence = None

    def __init__(self, files: Files, faults: Faults) -> None:
        self._files = files
        images: dict[str, list[tuple[str, str]]] = {}
        tops = sorted({name.split("/")[0] for name in files.names if name.count("/") > 1})
        if any(top.lower() in SPLITS for top in tops):
            for top in (top for top in tops if top.lower() not in SPLITS):
                why = "it stands beside folders of splits, and is none"
                faults.add(top, None, "label", Bad(why, f"call it one of {', '.join(SPLITS)}, or move it into one"))
        for name in files.names:
            folders = name.split("/")[:-1]
            split = SPLITS.get(folders[0].lower(), "") if folders else ""
            classes = folders[1:] if split else folders
            if not classes:
                if name.lower().endswith(IMAGES):
                    faults.add(
                        name, None, "label", Bad("it is in no class folder", "move it into the one of its class")
                    )
            elif not name.lower().endswith(IMAGES):
                faults.add(name, None, "image", Bad("it is no image", "remove it from the folder of a class"))
            else:
                images.setdefault(split or "train", []).append((name, classes[0]))
        self._images = in_order(images)
        self.splits = tuple(self._images)
        classes_found = sorted({label for found in self._images.values() for _, label in found})
        self.names: dict[str, tuple[str, ...] | None] = {"label": tuple(classes_found)}
        self._number = {label: number for number, label in enumerate(classes_found)}

    def labels(self, split: str) -> Iterator[LabelRows]:
        """See `Source`."""
        for row, (name, label) in enumerate(self._images[split]):
            yield LabelRows(name, row, 1, {"label": [self._number[label]]})

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """See `Source`. Files of any number are read one by one, each with its own name."""
        for row, (name, _) in enumerate(self._images[split][start:], start):
            yield Rows(name, row, [self._read(name)])

    def starts(self, split: str) -> Sequence[int]:
        """See `Source`."""
        return range(len(self._images[split]))

    def _read(self, name: str) -> Any:
        try:
            return self._files.read(name)
        except OSError as error:
            return Bad(f"it cannot be read ({error})", "see to its permissions, or remove it")
