"""The contracts of tasks and probes: what is distilled on, and what generalisation is measured on, and how.

A member of these families imports this page and no other family. Shape suffixes as in `trainables.protocols`. What a
task shows are images, but for tasks that give tokens or vectors: these stand wherever these pages say images.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor

from trainables.base import Config, Misfit

#: What a task shows: images in [0, 1]; tokens, int64, counted from 1, with 0 behind the end; or vectors.
Given = Literal["images", "tokens", "vectors"]


class TaskMember(Config):
    """The config of a task: what is known of it before any data is loaded."""

    gives: ClassVar[Given] = "images"

    @property
    def inputs(self) -> tuple[int, ...]:
        """The shape of one sample: (channels, height, width), (tokens,) or (D,)."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """C: source classes."""
        raise NotImplementedError

    @property
    def labelled(self) -> bool:
        """Whether source samples have labels; without, all are of class 0, and nothing may look at that."""
        return True

    @property
    def source_samples(self) -> int:
        """Samples that distillation sees."""
        raise NotImplementedError

    @property
    def target_samples(self) -> int:
        """Samples that the probes of the first transfer set learn from."""
        raise NotImplementedError

    @property
    def transfer_names(self) -> tuple[str, ...]:
        """The names of the transfer sets, in their order."""
        raise NotImplementedError

    @property
    def known_names(self) -> tuple[str, ...]:
        """Those that are labelled by the source's classes, so that a student's own classifier can be judged on them."""
        return ()

    @property
    def readers(self) -> int:
        """Threads that read its samples ahead of training; 0 where they are at hand."""
        return 0

    @property
    def vocabulary(self) -> int:
        """Different tokens, of a task that gives such."""
        return 0

    def misfits(self) -> Iterator[Misfit]:
        """What keeps the task from being loaded, as far as that can be told without loading it."""
        yield from ()

    def load(self) -> "Task":
        """The data. Loaded once per process."""
        raise NotImplementedError


class Inputs(Protocol):
    """Samples that are picked by their numbers: a tensor, or what reads them when they are asked for."""

    def __getitem__(self, sample_B: Tensor, /) -> Tensor:
        """(B,) to (B, *inputs)."""


@dataclass(frozen=True)
class ImageSplit:
    """Images (N, channels, height, width) in [0, 1], and their labels."""

    images: Inputs
    label_N: Tensor


@dataclass(frozen=True)
class TransferSet:
    """What generalisation is measured on: probes are fitted on `train`; validation selects, test is only reported.

    Sets that share a split hold one object: what is worked out on it serves them all.
    """

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit


class Task(Protocol):
    """Source images to distil on, and transfer sets that say what the student learned beyond them."""

    @property
    def source(self) -> ImageSplit:
        """What distillation trains on; labels are for the teacher, and for members that say they use them."""

    @property
    def transfer_sets(self) -> Mapping[str, TransferSet]:
        """Transfer sets by name."""

    @property
    def classes(self) -> int:
        """C: source classes."""

    @property
    def digest(self) -> str:
        """SHA-256 of all images, labels and splits, in order."""

    def views(self, sample_B: Tensor, epoch: int, seed: int) -> Tensor:
        """Augmented source images; a function of (seed, epoch, sample) alone, whatever the order or the worker."""


@dataclass(frozen=True)
class Features:
    """What both networks make of the same samples, and the labels of these."""

    student_NF: Tensor
    teacher_NF: Tensor
    label_N: Tensor


@dataclass(frozen=True)
class Evidence:
    """What a probe may be fitted on. `train` is a named split of a transfer set.

    `source` are the images that the distillation saw, as they are; `source_view` the same ones under an augmentation
    that no training step has seen. Both are empty for probes at rungs, which are quick.
    """

    train: Features
    source: Features
    source_view: Features


#: What a fitted probe makes of a split that it was not fitted on: measures by name, such as ``knn_top1``.
Score = Callable[[Features], dict[str, float]]


class Probe(Protocol):
    """A measurement of frozen features: what they are worth on classes or shifts that the distillation did not see."""

    at_rungs: ClassVar[bool]
    measures: ClassVar[tuple[str, ...]]

    def fit(self, evidence: Evidence) -> Score:
        """Fit what is to be fitted, once; the answer then judges validation, test and whatever else is held out."""
