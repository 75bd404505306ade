"""Small datasets on disk, of the shapes that tasks know."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.trainables.datasets.made import write_dataset
from trainables.storage import Storage

COARSE, FINE_IN_COARSE = 20, 5


def cifar_like(folder: Path, train: int = 24, test: int = 4) -> str:
    """Drawn images of CIFAR-100's shape and labels, so many of each of the 100 classes, with a colour for each."""
    write_dataset(Storage(str(folder)), "pixels", {"train": _drawn(train, 0), "test": _drawn(test, 1)}, 500)
    return str(folder)


def _drawn(of_each: int, seed: int) -> tuple[NDArray[np.uint8], dict[str, list[int]]]:
    drawn = np.random.default_rng(seed)
    fine_N = drawn.permutation(np.repeat(np.arange(COARSE * FINE_IN_COARSE), of_each))
    colours = np.random.default_rng(9).integers(40, 216, (COARSE * FINE_IN_COARSE, 3, 1, 1))
    images = colours[fine_N] + drawn.integers(-40, 40, (len(fine_N), 3, 32, 32))
    # as in CIFAR-100, the classes of a superclass are not side by side
    return images.astype(np.uint8), {"coarse_label": (fine_N % COARSE).tolist(), "fine_label": fine_N.tolist()}


def vectors(folder: Path, rows: NDArray[np.float32], labels: NDArray[np.int64]) -> str:
    """Embeddings with labels, a fifth of them for test."""
    splits = {name: (rows[part], {"label": labels[part].tolist()}) for name, part in _parts(labels).items()}
    write_dataset(Storage(str(folder)), "vector", splits, 500)
    return str(folder)


def sentences(folder: Path, texts: list[str], labels: list[int]) -> str:
    """Texts with labels, a fifth of them for test."""
    label_N = np.array(labels)
    splits = {
        name: ([texts[index] for index in part], {"label": label_N[part].tolist()})
        for name, part in _parts(label_N).items()
    }
    write_dataset(Storage(str(folder)), "text", splits, 500)
    return str(folder)


def _parts(label_N: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    order = np.random.default_rng(0).permutation(len(label_N))
    return {"train": np.sort(order[: -len(order) // 5]), "test": np.sort(order[-len(order) // 5 :])}
