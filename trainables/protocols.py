"""The contracts between the parts of a trial. A member of a family imports this page and no other family.

Shape suffixes, everywhere in `trainables`:
B samples of a batch, D width of the contrast space, F width of the features, C classes that the teacher knows,
M rows of a memory, K negatives of one anchor, N samples of a set.

One training step, composed in `trainables.step`::

    images_B -> student, frozen teacher -> features, logits -> heads -> embeddings (unit norm)
    memory.rows(...)       -> Rows: what the embeddings of this batch may be held against
    negatives.draw(...)    -> Draws: which K rows, and with what log-probability
    objective(Contrast)    -> loss
    memory.write(...)      -> the batch becomes part of the memory, after the optimiser step

The config of a member stands in the member's file and builds it: `config.build(...)` is the only way a trial makes one.
A family's union of configs, in its `__init__`, is its table: the contract tests enrol every member from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Operation:
    """A nominal operation of the compute model: what the method asks for, not what an implementation happens to do.

    `flops` counts two per multiply-add. `bytes` is what must cross the memory bus once: operands read, results written.
    """

    name: str
    flops: int
    bytes: int


@dataclass(frozen=True)
class Shapes:
    """The sizes that decide what a step costs and how its parts are built."""

    batch: int
    width: int
    negatives: int
    rows: int
    classes: int
    samples: int


@dataclass(frozen=True)
class Rows:
    """A memory as one step sees it. Rows never carry gradient; every row knows which sample it came from."""

    student_MD: Tensor
    teacher_MD: Tensor
    sample_M: Tensor


@dataclass(frozen=True)
class Draws:
    """K rows of a memory for each anchor, the log-probability of drawing each, and from how many candidates."""

    row_BK: Tensor
    logq_BK: Tensor
    candidates_B: Tensor


@dataclass(frozen=True)
class Contrast:
    """Everything an objective may look at for one batch.

    `student_BD` and `teacher_BD` are unit-norm embeddings that carry gradient (the teacher's through its head only).
    `positive_*` is what each anchor should agree with: the memory's row of the same sample where there is one, else
    the current embedding. Logits are None unless the objective `reads` them, and embeddings, rows and draws
    are empty unless it reads those.
    """

    sample_B: Tensor
    student_BD: Tensor
    teacher_BD: Tensor
    positive_student_BD: Tensor
    positive_teacher_BD: Tensor
    rows: Rows
    draws: Draws
    student_logits_BC: Tensor | None = None
    teacher_logits_BC: Tensor | None = None


Reads = Literal["embeddings", "logits"]


class ObjectiveMember(Protocol):
    """What the config of an objective declares before anything is built.

    `reads` says which outputs of the networks it needs: heads for the others are neither built nor paid for.
    `sides` says how many halves of a memory (student, teacher) it contrasts against: 0, 1 or 2.
    `uses_labels` must be true for a member that looks at the labels of source samples.
    """

    reads: ClassVar[Reads]
    sides: ClassVar[int]
    uses_labels: ClassVar[bool]

    def build(self) -> nn.Module:
        """An `Objective` whose state (a normaliser, a learned scale) is in persistent buffers and parameters."""

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Forward and backward of the objective on one batch, without the networks and the heads."""


class Objective(Protocol):
    """A loss on a batch."""

    def __call__(self, contrast: Contrast, world: "World") -> Tensor:
        """The scalar loss, a mean over the batch."""


class MemoryMember(Protocol):
    """What the config of a memory declares before anything is built."""

    def rows_kept(self, batch: int) -> int:
        """M: rows that an anchor can be held against."""

    def build(self, shapes: Shapes, generator: torch.Generator) -> nn.Module:
        """A `Memory`; rows and pointers are persistent buffers, so that they are in every checkpoint."""

    def operations(self, shapes: Shapes, sides: int) -> list[Operation]:
        """Writing one batch into `sides` halves of the memory."""

    def resident_bytes(self, shapes: Shapes, sides: int) -> int:
        """Bytes that the memory occupies while the trial runs."""


class Memory(Protocol):
    """Past embeddings of both networks."""

    def rows(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor) -> Rows:
        """What this batch is held against. Never carries gradient; takes the batch for memories that hold only it."""

    def positives(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor) -> tuple[Tensor, Tensor]:
        """(student_BD, teacher_BD) to agree with: kept rows where there are any, else the inputs."""

    def write(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor) -> None:
        """Take in the batch (the whole one: with several workers, gathered rows), after the optimiser's step."""


class Negatives(Protocol):
    """A sampler of negatives: never the anchor's own sample, always with the log-probability of what it drew."""

    def draw(self, sample_B: Tensor, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor. For a world of several workers `sample_B` is the whole batch, so that draws agree."""


@dataclass(frozen=True)
class ProbeSplit:
    """Frozen features and labels of one named split of a transfer set."""

    features_NF: Tensor
    label_N: Tensor


class Probe(Protocol):
    """A measurement of frozen features: what they are worth on classes or shifts that the distillation did not see."""

    at_rungs: ClassVar[bool]
    measures: ClassVar[tuple[str, ...]]

    def __call__(self, train: ProbeSplit, held_out: ProbeSplit) -> dict[str, float]:
        """Measures by name, such as ``knn_top1``: fitted on `train`, accuracy in [0, 1] on `held_out`."""


@dataclass(frozen=True)
class ImageSplit:
    """Images (N, channels, height, width) in [0, 1], and their labels."""

    images: Tensor
    label_N: Tensor


@dataclass(frozen=True)
class TransferSet:
    """What generalisation is measured on: probes are fitted on `train`; validation selects, test is only reported."""

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit


class Task(Protocol):
    """Source images to distil on, and transfer sets that say what the student learned beyond them."""

    @property
    def source(self) -> ImageSplit:
        """All that distillation sees; only the teacher looks at its labels."""

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


class World(Protocol):
    """The workers that train one trial together. Every answer is the same on each of them."""

    @property
    def rank(self) -> int:
        """This worker, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def gather(self, tensor_B: Tensor) -> Tensor:
        """The rows of all workers, rank after rank, without gradient."""

    def mean_(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the workers, in place."""
