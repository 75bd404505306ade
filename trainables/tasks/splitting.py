"""An ingested dataset as a task: which samples distillation sees, and which are held out to select by and to report."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.datasets.dataset import Dataset
from trainables.evidence import ImageSplit, TransferSet
from trainables.outcomes import TrialFailure
from trainables.randomness import numpy_stream

if TYPE_CHECKING:
    from trainables.tasks.stored import StoredTask

_SPLIT_SEED = 0  # the splits are part of the task: no trial may draw its own

Whole = NDArray[Any]  # whole numbers


@dataclass(frozen=True)
class Picked:
    """Samples of one split of a dataset, read when they are asked for."""

    task: "StoredTask"
    dataset: Dataset
    split: str
    index_N: Tensor

    def __getitem__(self, sample_B: Tensor, /) -> Tensor:
        """(B,) to (B, *inputs)."""
        return self.task.read(self.dataset, self.split, self.index_N[sample_B])


class LoadedTask:
    """See `tasks.stored.StoredTask`. `digest` is that of the datasets, and of how samples are chosen and shown."""

    def __init__(self, config: "StoredTask") -> None:
        self.config, self.classes = config, config.classes
        of_data = _Splits(config, config.data, config.label_column)
        order_N = of_data.order()
        stratum_N = labels_of(of_data.dataset, "train", config.held_out_column)
        held_out_N = np.isin(stratum_N, config.held_out)
        kept_back, source = first_of_each(order_N[~held_out_N[order_N]], stratum_N, config.kept_back)
        known = np.unique(of_data.label_N["train"][source])
        if len(known) != config.classes:
            told = f"{config.data} has training samples of {len(known)} source classes, its manifest says"
            raise TrialFailure("bad_data", f"{told} {config.classes}; leave classes without samples out of it")
        self.source = of_data.split("train", np.sort(source), known)
        self._view, self._index_N = config.viewing(of_data.dataset, "train"), torch.from_numpy(np.sort(source))
        self.transfer_sets: dict[str, TransferSet] = {}
        if config.held_out:
            others = np.setdiff1d(of_data.label_N["train"], known)
            self.transfer_sets["transfer"] = of_data.transfer_set(order_N[held_out_N[order_N]], others)
        for name, location in sorted(config.transfer.items()):
            other = _Splits(config, location)
            self.transfer_sets[name] = other.transfer_set(other.order(), np.unique(other.label_N["train"]))
        if config.labelled:
            self.transfer_sets |= config.known_sets(of_data.transfer_set(source, known, kept_back, known))
        self.digest = _digest(config, of_data.dataset)

    def views(self, sample_B: Tensor, epoch: int, seed: int) -> Tensor:
        """Augmented source samples, a function of (seed, epoch, sample) alone."""
        return self._view(self._index_N[sample_B], epoch, seed)


class _Splits:
    """The splits of one dataset, and one of its columns of labels."""

    def __init__(self, config: "StoredTask", location: str, column: str | None = None) -> None:
        self.config, self.dataset = config, config.opened(location)
        self.label_N = {split: labels_of(self.dataset, split, column) for split in self.dataset.manifest.splits}

    def order(self) -> Whole:
        """The training samples, in an order that no trial can change."""
        return numpy_stream(_SPLIT_SEED, "stored/splits").permutation(self.dataset.samples("train"))

    def split(self, name: str, index_N: Whole, numbered: Whole | None = None) -> ImageSplit:
        """Samples of a split; their labels are the dataset's, or the places of these in `numbered`."""
        label_N = self.label_N[name][index_N]
        if numbered is not None:
            label_N = np.searchsorted(numbered, label_N)
        picked = Picked(self.config, self.dataset, name, torch.from_numpy(index_N))
        return ImageSplit(picked, torch.from_numpy(label_N))

    def transfer_set(
        self, pool: Whole, classes: Whole, kept_back: Whole | None = None, numbered: Whole | None = None
    ) -> TransferSet:
        """What probes learn from, of training samples `pool`, and all samples of `classes` that are held out.

        Without a split ``validation``, and with none `kept_back`, these are others of the pool, as many as for test.
        """
        learned, others = first_of_each(pool, self.label_N["train"], lambda _: self.config.labels_per_class)
        test = self._of_classes("test", classes)
        if "validation" in self.label_N:
            validation = self.split("validation", self._of_classes("validation", classes), numbered)
        else:
            kept = others[: len(test)] if kept_back is None or not len(kept_back) else kept_back
            validation = self.split("train", np.sort(kept), numbered)
        if not len(validation.label_N) or not len(test):
            told = f"{self.dataset.storage.uri} has no samples of these classes left to hold out"
            raise TrialFailure("bad_data", f"{told}; lower labels_per_class, raise validation, or add samples")
        return TransferSet(self.split("train", learned, numbered), validation, self.split("test", test, numbered))

    def _of_classes(self, split: str, classes: Whole) -> Whole:
        return np.flatnonzero(np.isin(self.label_N[split], classes))


def labels_of(dataset: Dataset, split: str, column: str | None) -> Whole:
    """The labels of a split, in a column or in the first one, (N,); zeros where there is none."""
    if not dataset.manifest.classes:
        return np.zeros(dataset.samples(split), dtype=np.int64)
    return dataset.labels(split, column).numpy()


def first_of_each(index_N: Whole, label_M: Whole, count: Callable[[int], int]) -> tuple[Whole, Whole]:
    """Of samples in an order, the first `count(n)` of the n of each class, class by class; and the others in order."""
    own_N = label_M[index_N]
    places = [np.flatnonzero(own_N == label) for label in np.unique(own_N)]
    first = np.concatenate([place[: count(len(place))] for place in places]).astype(np.int64)
    return index_N[first], np.delete(index_N, first)


def _digest(config: "StoredTask", dataset: Dataset) -> str:
    rest = config.model_dump(mode="json", exclude={"threads"})
    locations = [rest.pop("data"), *rest.pop("transfer").values()]
    digests = [dataset.digest, *(config.opened(location).digest for location in locations[1:])]
    record = {"config": rest, "datasets": digests, "origin": config.origin}
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
