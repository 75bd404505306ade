"""Small data that are not as they should be, or are but for what is given, in each layout that is read."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tests.sweeps.data.layouts import CLASSES, PARTS, image_file

TRAIN = PARTS["train"]
FILES = [image_file(pixels) for pixels in TRAIN.images]
CUT = FILES[5][: len(FILES[5]) // 2]
WIDE = image_file(np.zeros((32, 33, 3), dtype=np.uint8))
HUGE = b"P6 60000 60000 255\n"


def images(folder: Path, name: str = "train.parquet", **columns: Any) -> None:
    """Parquet with images as structs, and whatever columns are given in the place of the right ones."""
    given = {"image": [{"bytes": content, "path": None} for content in FILES], "label": TRAIN.fine} | columns
    parquet.write_table(pa.table({name: values for name, values in given.items() if values is not None}), folder / name)


def images_but(row: int, content: bytes | None) -> Callable[[Path], None]:
    files = [{"bytes": content if number == row else each, "path": None} for number, each in enumerate(FILES)]
    return lambda folder: images(folder, image=files)


def labels_but(row: int, label: Any, **names: Any) -> Callable[[Path], None]:
    return lambda folder: images(folder, label=[*TRAIN.fine[:row], label, *TRAIN.fine[row + 1 :]], **names)


def named_label(folder: Path) -> None:
    schema = pa.schema([("text", pa.string()), ("label", pa.int64())])
    features = {"info": {"features": {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}}}
    table = pa.table({"text": TRAIN.texts, "label": [*TRAIN.fine[:-1], 4]}, schema)
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), folder / "train.parquet")


def lines(folder: Path, row: int, line: bytes) -> None:
    every = [
        json.dumps({"text": text, "label": label}).encode() for text, label in zip(TRAIN.texts, TRAIN.fine, strict=True)
    ]
    (folder / "train.jsonl").write_bytes(b"\n".join([*every[:row], line, *every[row + 1 :]]))


def text(folder: Path, row: int, line: bytes) -> None:
    every = [sentence.encode() for sentence in TRAIN.texts]
    (folder / "train.txt").write_bytes(b"\n".join([*every[:row], line, *every[row + 1 :]]))


def arrays(folder: Path, **given: Any) -> None:
    for name, array in ({"images": TRAIN.images, "label": np.asarray(TRAIN.fine)} | given).items():
        np.save(folder / f"train_{name}.npy", array, allow_pickle=True)


def vectors(folder: Path, row: int, vector: list[Any] | None) -> None:
    given = TRAIN.vectors.tolist()
    given[row] = vector
    parquet.write_table(pa.table({"embedding": given}), folder / "train.parquet")


def shard(folder: Path, *members: tuple[str, bytes], cut: int = 0) -> None:
    with tarfile.open(folder / "train-0.tar", "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    if cut:
        whole = (folder / "train-0.tar").read_bytes()
        (folder / "train-0.tar").write_bytes(whole[:cut])


SAMPLES = tuple(
    (f"{number:03d}.{end}", content)
    for number, (pixels, label) in enumerate(zip(FILES, TRAIN.fine, strict=True))
    for end, content in (("png", pixels), ("cls", str(label).encode()))
)


def folders(folder: Path, *extra: tuple[str, bytes]) -> None:
    given = [(f"train/{CLASSES[label]}/{row:02d}.png", FILES[row]) for row, label in enumerate(TRAIN.fine)]
    for name, content in (*given, *extra):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def cifar(folder: Path, meta: Any = None, **changed: Any) -> None:
    flat = TRAIN.images.transpose(0, 3, 1, 2).reshape(len(TRAIN.images), -1)
    content = {"data": flat, "fine_labels": TRAIN.fine, "coarse_labels": TRAIN.coarse} | changed
    for name in ("train", "test"):
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps(meta or {}, protocol=2))


class Attack:
    def __reduce__(self) -> Any:
        return eval, ("code",)


def in_turn(*makes: Callable[[Path], object]) -> Callable[[Path], None]:
    """One after the other, in the same folder."""

    def make(folder: Path) -> None:
        for each in makes:
            each(folder)

    return make
