"""The labels of a source as numbers of classes, and what is wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeps.data.faults import Bad, Faults, no_text
from sweeps.data.source import LabelRows, Source

_NONE = -1
_SHOWN = 10
_NOTHING = Bad("there is no label", "label the row or drop it, or leave the split out (--split)")


@dataclass(frozen=True)
class Labels:
    """Class names by column, and for each split its rows, and the numbers of their classes, (N,), by column."""

    classes: Mapping[str, tuple[str, ...]]
    rows: Mapping[str, int]
    numbers: Mapping[str, Mapping[str, NDArray[np.int64]]]


def read_labels(source: Source, faults: Faults) -> Labels:
    """All labels of a source. Where they are names, classes are numbered in the order of the sorted names."""
    read = {split: list(source.labels(split)) for split in source.splits}
    classes = {column: _classes(source, column, read) for column in source.names}
    numbers = {
        split: {column: _numbers(rows, column, classes[column], faults) for column in classes}
        for split, rows in read.items()
    }
    return Labels(classes, {split: sum(each.count for each in rows) for split, rows in read.items()}, numbers)


def check_classes(labels: Labels, trained: Mapping[str, NDArray[np.int64]], faults: Faults) -> None:
    """Find classes that training never sees: mostly a label was mistyped, or data left behind."""
    for column, names in labels.classes.items():
        counts = np.bincount(trained[column][trained[column] >= 0], minlength=len(names))
        empty = [names[number] for number in np.flatnonzero(counts == 0)[:_SHOWN]]
        if empty:
            missing = int((counts == 0).sum())
            rule = f"{missing} of {len(names)} classes have no sample to train on: {', '.join(empty)}"
            faults.add("train", None, column, Bad(rule, "add samples, or number the classes from 0 without gaps"))


def _classes(source: Source, column: str, read: Mapping[str, list[LabelRows]]) -> tuple[str, ...]:
    names = source.names[column]
    if names is not None:
        return names
    found = {value for rows in read.values() for each in rows for value in each.columns[column] if _is_label(value)}
    words = sorted(value for value in found if isinstance(value, str))
    if words:
        return tuple(words)
    # a number far beyond what there are samples for is a mistake, and no reason to name as many classes
    samples = sum(each.count for rows in read.values() for each in rows)
    return tuple(map(str, range(min(max(found, default=-1), samples) + 1)))


def _is_label(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def _numbers(rows: list[LabelRows], column: str, names: tuple[str, ...], faults: Faults) -> NDArray[np.int64]:
    by_name = {name: number for number, name in enumerate(names)}
    numbers = []
    for each in rows:
        for offset, value in enumerate(each.columns[column]):
            number = _number(value, names, by_name)
            if isinstance(number, Bad):
                faults.add(each.file, each.first + offset, column, number)
                number = _NONE
            numbers.append(number)
    return np.asarray(numbers, dtype=np.int64)


def _number(value: Any, names: tuple[str, ...], by_name: Mapping[str, int]) -> int | Bad:
    if isinstance(value, Bad):
        return value
    if value is None or value == _NONE:
        return _NOTHING
    if not _is_label(value):
        return Bad(f"the label {value!r} is no whole number and no name", "write the number or the name of its class")
    if isinstance(value, str) and (bad := no_text(value)):
        return bad
    number = by_name.get(value) if isinstance(value, str) else value
    if number is None or not 0 <= number < len(names):
        return Bad(f"the label {value!r} is none of {len(names)} classes", _among(names))
    return number


def _among(names: tuple[str, ...]) -> str:
    return f"use 0 to {len(names) - 1}, or a name such as {names[0]!r}" if names else "label the others, too"
