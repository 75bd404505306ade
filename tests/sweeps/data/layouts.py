"""The same small data in each layout that is read, made by the libraries that people make it with."""

import io
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

CLASSES = ("apple", "bear", "chair", "dog")
COARSE = ("thing", "animal")

_DRAWN = np.random.default_rng(0)


@dataclass(frozen=True)
class Part:
    """A split: images (N, H, W, 3), sentences, embeddings (N, D), labels in a random order."""

    images: NDArray[np.uint8]
    texts: list[str]
    vectors: NDArray[np.float32]
    fine: list[int]
    coarse: list[int]


def part(samples: int, side: int = 32) -> Part:
    fine = _DRAWN.permutation(np.arange(samples) % len(CLASSES)).tolist()
    return Part(
        images=_DRAWN.integers(0, 256, (samples, side, side, 3), dtype=np.uint8),
        texts=[f"sentence {int(_DRAWN.integers(1 << 60))} naïve" for _ in range(samples)],
        vectors=_DRAWN.normal(size=(samples, 6)).astype(np.float32),
        fine=fine,
        coarse=[number % 2 for number in fine],
    )


PARTS: Mapping[str, Part] = {"train": part(40), "test": part(12)}


def image_file(pixels: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def hugging_face(folder: Path) -> None:
    """CIFAR-100 as on the hub: written by `datasets`, its features in the schema."""
    import datasets

    features = datasets.Features(
        img=datasets.Image(),
        fine_label=datasets.ClassLabel(names=list(CLASSES)),
        coarse_label=datasets.ClassLabel(names=list(COARSE)),
    )
    for split, data in PARTS.items():
        columns = {
            "img": [Image.fromarray(pixels) for pixels in data.images],
            "fine_label": data.fine,
            "coarse_label": data.coarse,
        }
        path = folder / f"{split}-00000-of-00001.parquet"
        datasets.Dataset.from_dict(columns, features=features).to_parquet(path, batch_size=16)


def class_folders(folder: Path) -> None:
    for split, data in PARTS.items():
        for number, (pixels, label) in enumerate(zip(data.images, data.fine, strict=True)):
            path = folder / split / CLASSES[label] / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def web_dataset(folder: Path) -> None:
    import webdataset

    for split, data in PARTS.items():
        pattern = str(folder / f"{split}-%06d.tar")
        with webdataset.ShardWriter(pattern, maxcount=30, verbose=0) as shards:
            for number, (pixels, label) in enumerate(zip(data.images, data.fine, strict=True)):
                shards.write({"__key__": f"{number:06d}", "png": image_file(pixels), "cls": label})


def numpy_arrays(folder: Path) -> None:
    for split, data in PARTS.items():
        np.save(folder / f"{split}_images.npy", data.images)
        np.save(folder / f"{split}_label.npy", np.asarray(data.fine))


def numpy_archives(folder: Path) -> None:
    for split, data in PARTS.items():
        np.savez(folder / f"{split}.npz", images=data.images, label=np.asarray(data.fine))


def cifar(folder: Path) -> None:
    """CIFAR-100 as torchvision unpacks it."""
    inside = folder / "cifar-100-python"
    inside.mkdir()
    for split, data in PARTS.items():
        flat = data.images.transpose(0, 3, 1, 2).reshape(len(data.images), -1)
        content = {
            b"filenames": [b"x.png"] * len(flat),
            b"batch_label": b"batch 1 of 1",
            b"data": np.ascontiguousarray(flat),
            b"fine_labels": data.fine,
            b"coarse_labels": data.coarse,
        }
        (inside / split).write_bytes(pickle.dumps(content, protocol=2))
    names = {b"fine_label_names": [c.encode() for c in CLASSES], b"coarse_label_names": [c.encode() for c in COARSE]}
    (inside / "meta").write_bytes(pickle.dumps(names, protocol=2))


def json_lines(folder: Path) -> None:
    for split, data in PARTS.items():
        lines = [
            json.dumps({"sentence": text, "label": CLASSES[label]}, ensure_ascii=False)
            for text, label in zip(data.texts, data.fine, strict=True)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


def plain_text(folder: Path) -> None:
    for split, data in PARTS.items():
        (folder / f"{split}.txt").write_text("\n".join(data.texts) + "\n")


def embeddings(folder: Path) -> None:
    for split, data in PARTS.items():
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(data.vectors.ravel()), 6)
        table = pa.table({"embedding": vectors, "label": pa.array(data.fine)})
        parquet.write_table(table, folder / f"{split}.parquet", row_group_size=32)


Make = Callable[[Path], Any]
LAYOUTS: Mapping[str, Make] = {
    "parquet": hugging_face,
    "folders": class_folders,
    "webdataset": web_dataset,
    "numpy": numpy_arrays,
    "npz": numpy_archives,
    "cifar": cifar,
    "jsonl": json_lines,
    "text": plain_text,
    "embeddings": embeddings,
}
