"""What tasks on an ingested dataset share: how it is split, and what is known of that from its manifest alone."""

import functools
import json
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints
from torch import Tensor

from trainables.base import Misfit
from trainables.datasets.dataset import Dataset
from trainables.datasets.manifest import Kind, Manifest, read_manifest
from trainables.evidence import TaskMember, TransferSet
from trainables.location import Location, storage_at
from trainables.outcomes import TrialFailure
from trainables.tasks.splitting import LoadedTask

#: One view of each of these samples, (B, *inputs): a function of (index, epoch, seed) alone.
View = Callable[[Tensor, int, int], Tensor]
SetName = Annotated[str, StringConstraints(pattern="^[a-z0-9_]+$")]


class StoredTask(TaskMember):
    """A task on the dataset at `data`, which needs the splits ``train`` and ``test``.

    Distillation sees the training samples of the source classes: all but those numbered in `held_out`. A share of
    them, `validation`, is kept from it class by class, where the dataset has no split ``validation``; with 0 it sees
    all, and what is called validation are samples that it saw: to confirm a published figure, not to select by.

    Transfer sets, on which probes learn from `labels_per_class` samples of each class: ``transfer`` (the classes that
    were held out), each dataset of `transfer` under its name, and ``source`` (the source classes themselves, where a
    student's own classifier is judged too). Of a dataset without labels distillation sees all, and there are those of
    `transfer` alone. `threads` read ahead, which changes no result.
    """

    kind: ClassVar[Kind]
    reserved: ClassVar[tuple[str, ...]] = ("transfer", "source")

    data: Location
    label: str | None = None
    held_out: tuple[int, ...] = Field((), strict=False)  # JSON has lists
    validation: float = Field(0.1, ge=0, le=0.5)
    labels_per_class: int = Field(20, ge=10, le=100_000)
    transfer: dict[SetName, Location] = Field({}, max_length=16)
    threads: int = Field(2, ge=0, le=256)

    def __hash__(self) -> int:
        """A hash of the canonical JSON, since a dict has none."""
        return hash(json.dumps(self.to_json(), sort_keys=True))

    @property
    def readers(self) -> int:
        """As `threads` says."""
        return self.threads

    @property
    def manifest(self) -> Manifest:
        """That of `data`."""
        return manifest_at(self.data)

    @property
    def labelled(self) -> bool:
        """Whether the dataset has labels."""
        return bool(self.manifest.classes)

    @property
    def label_column(self) -> str | None:
        """The labels that are told: `label`, or the first column; None where there are none."""
        return self.label or next(iter(self.manifest.classes), None)

    @property
    def held_out_column(self) -> str | None:
        """The labels by which classes are held out, and the share for validation is taken."""
        return self.label_column

    @property
    def inputs(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.manifest.shape

    @property
    def classes(self) -> int:
        """C: classes that are not held out."""
        return len(class_names(self.manifest, self.label_column)) - len(self.held_out)

    @property
    def source_samples(self) -> int:
        """Training samples of the source classes, but those kept for validation."""
        counts = enumerate(training_samples(self.manifest, self.held_out_column))
        return sum(count - self.kept_back(count) for label, count in counts if label not in self.held_out)

    @property
    def target_samples(self) -> int:
        """Samples that the probes of the first transfer set learn from, at most."""
        first = self.transfer_names[0]
        held_out = len(class_names(self.manifest, self.label_column)) - self.classes
        learned = {"transfer": held_out, "source": self.classes}
        if first in self.transfer:
            manifest = manifest_at(self.transfer[first])
            counts = training_samples(manifest, next(iter(manifest.classes)))
            return sum(min(count, self.labels_per_class) for count in counts)
        return learned.get(first, self.classes) * self.labels_per_class

    @property
    def transfer_names(self) -> tuple[str, ...]:
        """What is furthest from the source first."""
        return (*(["transfer"] if self.held_out else []), *sorted(self.transfer), *self.known_names)

    @property
    def known_names(self) -> tuple[str, ...]:
        """Those on the source classes."""
        return ("source",) if self.labelled else ()

    def kept_back(self, count: int) -> int:
        """Of so many training samples of a class, those kept for validation."""
        return 0 if "validation" in self.manifest.splits else int(count * self.validation)

    def misfits(self) -> Iterator[Misfit]:
        """What the manifests tell."""
        yield from _misfits_at("data", self.data, self.kind)
        columns = self.manifest.classes
        if not columns and not self.transfer:
            rule = "probes learn from labels, and these samples have none"
            yield "data", self.data, rule, "ingest it again with a label, or name a dataset with labels in `transfer`"
        if self.label_column not in columns and (columns or self.label):
            told = ", ".join(columns) or "(none)"
            yield "label", self.label, f"the dataset's labels are: {told}", "choose one of these, or leave it out"
        if not columns and self.held_out:
            rule = "classes are held out by their labels, and these samples have none"
            yield "held_out", list(self.held_out), rule, "leave it out"
        if columns:
            yield from self._misfits_of_classes()
        for name, location in self.transfer.items():
            path = f"transfer.{name}"
            if name in self.reserved:
                yield path, location, f"{name} is the name of a set of the task's own", "choose another name"
            yield from _misfits_at(path, location, self.kind)
            if not manifest_at(location).classes:
                yield (
                    path,
                    location,
                    "its samples must have labels, which probes learn from",
                    "ingest it again with a label",
                )
            if self.shape_at(location) != self.inputs:
                rule = f"samples must have the shape of those of data, {self.inputs}, not {self.shape_at(location)}"
                yield path, location, rule, "ingest it in that shape"

    def _misfits_of_classes(self) -> Iterator[Misfit]:
        names = class_names(self.manifest, self.held_out_column)
        wrong = [number for number in self.held_out if not 0 <= number < len(names)]
        told_apart = len(class_names(self.manifest, self.label_column)) - self.classes
        if wrong or len(set(self.held_out)) < len(self.held_out) or self.classes < 2 or told_apart == 1:
            rule = f"held_out are different numbers of classes, 0 to {len(names) - 1}, and no side has a single class"
            yield "held_out", list(self.held_out), rule, "change the numbers"
        counts = training_samples(self.manifest, self.held_out_column)
        few = [names[number] for number in self.held_out if counts[number] <= self.labels_per_class]
        if few:
            rule = f"probes learn from labels_per_class samples of a held-out class, and {few[0]} has no more than that"
            yield "labels_per_class", self.labels_per_class, rule, "lower it, or hold out other classes"

    def shape_at(self, location: str) -> tuple[int, ...]:
        """The shape of the samples of a dataset, as this task shows them."""
        return manifest_at(location).shape

    def opened(self, location: str) -> Dataset:
        """A dataset of the task, checked."""
        return Dataset.open(storage_at(location))

    def read(self, dataset: Dataset, split: str, index_B: Tensor) -> Tensor:
        """Samples as networks are shown them, (B, *inputs)."""
        raise NotImplementedError

    def viewing(self, dataset: Dataset, split: str) -> View:
        """How augmented samples of a split are made; any thread may ask. By default, as they are."""
        return lambda index_B, epoch, seed: self.read(dataset, split, index_B)  # noqa: ARG005

    def known_sets(self, source: TransferSet) -> dict[str, TransferSet]:
        """The transfer sets on the source classes, made from the one that shows them as they are."""
        return {"source": source}

    @property
    def origin(self) -> str:
        """What decides the samples beside the datasets and this config."""
        return ""

    def load(self) -> LoadedTask:
        """The datasets, checked and split. Loaded once per process."""
        return _load(self)


@functools.lru_cache(maxsize=4)
def _load(config: StoredTask) -> LoadedTask:
    return LoadedTask(config)


@functools.lru_cache(maxsize=64)
def manifest_at(location: str) -> Manifest:
    """The manifest of the dataset at a location; see `read_manifest` for what is raised."""
    return read_manifest(storage_at(location))


def class_names(manifest: Manifest, column: str | None) -> tuple[str, ...]:
    """The classes of a column; one without a name, of all samples, where there is none."""
    return ("",) if column is None else manifest.classes[column]


def training_samples(manifest: Manifest, column: str | None) -> tuple[int, ...]:
    """Samples to train on of each of these classes."""
    train = manifest.splits["train"]
    return (train.samples,) if column is None else train.per_class[column]


def _misfits_at(path: str, location: str, kind: Kind) -> Iterator[Misfit]:
    try:
        manifest = manifest_at(location)
    except FileNotFoundError:
        rule, fix = "there must be an ingested dataset", "write where it is, or make it: python -m sweeps data ingest"
        yield path, location, rule, fix
        return
    except (OSError, TrialFailure) as error:
        yield path, location, f"the dataset must be readable, but: {error}", "mend it, or name another"
        return
    lacking = {"train", "test"} - manifest.splits.keys()
    if manifest.kind != kind:
        yield path, location, f"must be a dataset of {kind}, not of {manifest.kind}", "name another"
    if lacking:
        rule = f"a dataset must have the splits train and test, and this one has: {', '.join(manifest.splits)}"
        yield path, location, rule, "ingest it again with a split for each"
