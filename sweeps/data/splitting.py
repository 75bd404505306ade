"""Which rows of which split of the source make train, validation and test."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeps.data.labels import Labels
from trainables.datasets.manifest import LAYOUT


@dataclass(frozen=True)
class Target:
    """A split to be written: these rows of a split of the source, in rising order."""

    name: str
    source: str
    rows: NDArray[np.int64]


def targets(labels: Labels, validation: float, test: float, seed: int) -> list[Target]:
    """The splits that the source has; validation and test, where it has none, are carved out of train.

    What is carved out is the given share of each class (of the first column of labels), drawn by the seed alone.
    """
    shares = {name: share for name, share in (("validation", validation), ("test", test)) if name not in labels.rows}
    shares = {name: share for name, share in shares.items() if share > 0 and "train" in labels.rows}
    parts = _carved(_strata(labels), shares, seed) if shares else {}
    made = [Target(name, "train", rows) for name, rows in parts.items()]
    given = [Target(name, name, np.arange(count)) for name, count in labels.rows.items() if name not in parts]
    by_name = {target.name: target for target in (*made, *given)}
    return [by_name[name] for name in ("train", "validation", "test") if name in by_name]


def _strata(labels: Labels) -> NDArray[np.int64]:
    first = next(iter(labels.numbers["train"].values()), None)
    return np.zeros(labels.rows["train"], dtype=np.int64) if first is None else first


def _carved(class_N: NDArray[np.int64], shares: Mapping[str, float], seed: int) -> dict[str, NDArray[np.int64]]:
    from trainables.randomness import numpy_stream  # loads torch

    order = numpy_stream(seed, "datasets/splits", LAYOUT).permutation(len(class_N))
    by_class = order[np.argsort(class_N[order], kind="stable")]
    starts = np.flatnonzero(np.diff(class_N[by_class], prepend=-2))
    parts: dict[str, list[NDArray[np.int64]]] = {"train": [], **{name: [] for name in shares}}
    for members in np.split(by_class, starts[1:]):
        ends = np.cumsum([int(share * len(members) + 0.5) for share in shares.values()])
        for name, rows in zip([*shares, "train"], np.split(members, ends), strict=True):
            parts[name].append(rows)
    return {name: np.sort(np.concatenate(rows)) for name, rows in parts.items()}
