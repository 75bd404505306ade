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
    """Embeddings with labels: of five samples the fifth is for test."""
    test = np.arange(len(labels)) % 5 == 4
    parts = {"train": ~test, "test": test}
    splits = {name: (rows[part], {"label": labels[part].tolist()}) for name, part in parts.items()}
    write_dataset(Storage(str(folder)), "vector", splits, 500)
    return str(folder)


def sentences(folder: Path, texts: list[str], labels: list[int]) -> str:
    """Texts with labels: of five samples the fifth is for test."""
    splits = {
        "train": (
            [t for i, t in enumerate(texts) if i % 5 != 4],
            {"label": [n for i, n in enumerate(labels) if i % 5 != 4]},
        ),
        "test": (texts[4::5], {"label": labels[4::5]}),
    }
    write_dataset(Storage(str(folder)), "text", splits, 500)
    return str(folder)
