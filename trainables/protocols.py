"""The contracts between the parts of a trial. A member of a family imports this page and no other family.

Those of networks and tasks, of which more is to be said, have pages of their own: `trainables.network` and
`trainables.evidence`.

Shape suffixes, everywhere in `trainables`:
B samples of a batch, D width of the contrast space, F width of the features, C classes that the teacher knows,
M rows of a memory, K negatives of one anchor, N samples of a set.

One training step, composed in `trainables.step`::

    policy.decide(...)     -> Decision: temperature, negatives, sharpness and weight of this step
    images_B -> student, frozen teacher -> features, logits -> heads -> embeddings (unit norm)
    memory.rows(...)       -> Rows: what the embeddings of this batch may be held against
    negatives.draw(...)    -> Draws: which rows stand for the K negatives, and how often each counts
    objective(Contrast)    -> loss
    memory.write(...)      -> the batch becomes part of the memory, after the optimiser step

The config of a member stands in the member's file and builds it: `config.build(...)` is the only way a trial makes one.
A family's union of configs, in its `__init__`, is its table: the contract tests enrol every member from there.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from trainables.base import Config
from trainables.draws import Draws, Mode

Half = Literal["student", "teacher"]

#: What the rows of a memory are kept in; whoever reads them computes in the anchors' own type of number.
RowType = Literal["float32", "bfloat16"]
BYTES_OF: dict[RowType, int] = {"float32": 4, "bfloat16": 2}

NOBODY = -1  # the key of a row that stands for no sample and no prototype, and the label of a row that has none


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
    mode: Mode = "exact"
    row_bytes: int = 4


@dataclass(frozen=True)
class Decision:
    """What a policy sets for one step, as factors on what the config says; all 1 is the config itself.

    `temperature` is a factor on every temperature of the objective, `negatives` the share of the configured count that
    is drawn (at most 1), `sharpness` a factor on the sharpness of the sampler, `contrast` a factor on the weights of
    those terms of a weighted sum that contrast embeddings.
    """

    temperature: float = 1.0
    negatives: float = 1.0
    sharpness: float = 1.0
    contrast: float = 1.0


@dataclass(frozen=True)
class Estimates:
    """Bounds of the mutual information of student and teacher, in nats, and the most that they could show.

    From below, but for the temperature of the bound: it is the one at which the source shows most.
    """

    source: float
    target: float
    ceiling: float


class PolicyMember(Config):
    """A loss policy: a pure function of how far the trial is and of what is known, so that it needs no state."""

    @property
    def estimates_every(self) -> int:
        """Steps between two estimates of mutual information; 0 for a policy that wants none."""
        return 0

    def decide(self, progress: float, estimates: Estimates | None) -> Decision:
        """The decision for a step, `progress` (in [0, 1)) being the share of the planned steps that are done.

        `estimates` are None until the first were made.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Batch:
    """Embeddings of a batch as a memory sees it; for a world of several workers the whole batch, without gradient."""

    sample_B: Tensor
    student_BD: Tensor
    teacher_BD: Tensor


@dataclass(frozen=True)
class Rows:
    """A memory as one step sees it. Rows never carry gradient.

    `key_M` says what a row stands for: the number of a source sample, in a memory of prototypes that of a prototype, or
    `NOBODY`. `label_M` holds the source label of each row (`NOBODY` where unknown), for members that use labels only.
    `concentration_M` is the spread of each prototype's samples (Li et al. 2021), for prototypes only. `against` names
    the half that student anchors are held against.
    """

    student_MD: Tensor
    teacher_MD: Tensor
    key_M: Tensor
    label_M: Tensor | None = None
    concentration_M: Tensor | None = None
    against: Half = "teacher"

    @property
    def against_MD(self) -> Tensor:
        """The half that student anchors are held against."""
        return self.teacher_MD if self.against == "teacher" else self.student_MD


@dataclass(frozen=True)
class Anchors:
    """The whole batch as a sampler of negatives sees it, without gradient.

    An anchor is never held against the rows of its own key. `label_B` is there for members that use labels only.
    `progress` is the share of the planned steps that are done; `sharpness` the policy's factor.
    """

    key_B: Tensor
    student_BD: Tensor
    teacher_BD: Tensor
    label_B: Tensor | None = None
    progress: float = 0.0
    sharpness: float = 1.0


@dataclass(frozen=True)
class Contrast:
    """Everything an objective may look at for one worker's share of a batch; what it does not read is empty or None.

    `student_BD` and `teacher_BD` are unit-norm embeddings that carry gradient (the teacher's through its head only).
    `positive_*` is what each anchor should agree with: the memory's row of the same sample where there is one, else
    the current embedding; for an objective that `relaxes`, a row of the same class. `key_B` is to be compared with
    `rows.key_M`: rows of an anchor's own key are never its negatives. `second_student_BD` embeds a second view of the
    same samples. `nll_B` is the negative log-likelihood of the images under a student that generates, in nats a value.
    """

    sample_B: Tensor
    key_B: Tensor
    student_BD: Tensor
    teacher_BD: Tensor
    positive_student_BD: Tensor
    positive_teacher_BD: Tensor
    rows: Rows
    draws: Draws
    second_student_BD: Tensor | None = None
    student_logits_BC: Tensor | None = None
    teacher_logits_BC: Tensor | None = None
    nll_B: Tensor | None = None
    label_B: Tensor | None = None
    decision: Decision = Decision()

    @classmethod
    def unread(cls, sample_B: Tensor, like: Tensor) -> Self:
        """A contrast of which nothing has been read yet; what is empty has the type of number of `like`."""
        nothing, nobody = like.new_empty(0, 0), sample_B.new_empty(0)
        return cls(
            sample_B=sample_B,
            key_B=nobody,
            student_BD=nothing,
            teacher_BD=nothing,
            positive_student_BD=nothing,
            positive_teacher_BD=nothing,
            rows=Rows(nothing, nothing, nobody),
            draws=Draws(count=0, rows=0),
        )


Reads = Literal["embeddings", "second_view", "logits", "likelihood"]


class ObjectiveMember(Config):
    """The config of an objective: what it declares before anything is built. Members override what is not so."""

    @property
    def reads(self) -> frozenset[Reads]:
        """Outputs of the networks that it needs: heads for the others are neither built nor paid for."""
        return frozenset({"embeddings"})

    @property
    def halves(self) -> frozenset[Half]:
        """The halves of a memory that it contrasts against."""
        return frozenset({"student", "teacher"} if "embeddings" in self.reads else ())

    @property
    def sides(self) -> int:
        """How many halves that are: 0, 1 or 2."""
        return len(self.halves)

    @property
    def against(self) -> Half:
        """The half that student anchors are held against; with the student's own, the two share no space."""
        return "teacher"

    @property
    def draws(self) -> bool:
        """Whether it holds anchors against drawn negatives; one that does not looks at every row, or at none."""
        return self.sides > 0

    @property
    def uses_labels(self) -> bool:
        """Whether it looks at the labels of source samples."""
        return False

    @property
    def uses_labels_of_rows(self) -> bool:
        """Whether it looks at the labels of the memory's rows, beside those of the batch."""
        return self.relaxes

    @property
    def relaxes(self) -> bool:
        """Whether a positive may be any row of the anchor's class (needs labels)."""
        return False

    @property
    def needs_prototypes(self) -> bool:
        """Whether the rows must be prototypes of several samples."""
        return False

    @property
    def trains_teacher_head(self) -> bool:
        """Whether its gradient reaches the projection of the teacher; one that says no gets a fixed random one."""
        return "embeddings" in self.reads

    def cautions(self, shapes: Shapes) -> list[str]:  # noqa: ARG002 (nothing to say)
        """What is allowed at these sizes, but hardly meant."""
        return []

    def gathered_bytes(self, shapes: Shapes) -> int:  # noqa: ARG002 (nothing is)
        """Bytes that it gathers itself from the workers of a world in every step, of the whole batch."""
        return 0

    def build(self) -> nn.Module:
        """An `Objective` whose state (a normaliser, a learned scale) is in persistent buffers and parameters."""
        raise NotImplementedError

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Forward and backward of the objective on one batch, without the networks and the heads."""
        raise NotImplementedError


class Objective(Protocol):
    """A loss on a batch."""

    def __call__(self, contrast: Contrast, world: "World") -> Tensor:
        """The scalar loss, a mean over the batch."""


class MemoryMember(Config):
    """The config of a memory: what it declares before anything is built."""

    keeps_prototypes: ClassVar[bool] = False

    @property
    def row_bytes(self) -> int:
        """Bytes of a value of its rows."""
        return BYTES_OF["float32"]

    def rows_kept(self, batch: int) -> int:
        """M: rows that an anchor can be held against."""
        raise NotImplementedError

    def build(self, shapes: Shapes, generator: torch.Generator) -> nn.Module:
        """A `Memory`; rows and pointers are persistent buffers, so that they are in every checkpoint."""
        raise NotImplementedError

    def operations(self, shapes: Shapes, sides: int) -> list[Operation]:
        """Writing one batch into `sides` halves of the memory."""
        raise NotImplementedError

    def resident_bytes(self, shapes: Shapes, sides: int) -> int:
        """Bytes that the memory occupies while the trial runs."""
        raise NotImplementedError


class Memory(Protocol):
    """Past embeddings of both networks. Reading changes nothing, and nothing that is read carries gradient."""

    def keys(self, sample_B: Tensor) -> Tensor:
        """What each sample is called in `Rows.key_M`, (B,)."""

    def rows(self, batch: Batch) -> Rows:
        """What this batch is held against. Takes the whole batch, for memories that hold nothing else."""

    def positives(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(student_BD, teacher_BD) to agree with: kept rows where there are any, else the batch's own, with gradient.

        Takes one worker's share of the batch.
        """

    def write(self, batch: Batch) -> None:
        """Take in the whole batch, after the optimiser's step."""


class NegativesMember(Config):
    """The config of a sampler of negatives."""

    count: int
    mode: Mode = "exact"

    @property
    def uses_labels(self) -> bool:
        """Whether it looks at the labels of source samples."""
        return False

    def build(self) -> "Negatives":
        """The sampler; it has no state."""
        raise NotImplementedError

    def operations(self, shapes: Shapes) -> list[Operation]:  # noqa: ARG002 (nothing to score)
        """What choosing the negatives of one batch takes; nothing for a sampler that scores no rows."""
        return []


class Negatives(Protocol):
    """A sampler of negatives: never a row of the anchor's own key, and each weighted by how it was drawn."""

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K negatives for each anchor of the whole batch, so that the workers of a world draw the same."""


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

    def leaving(self) -> bool:
        """Whether one of the workers is about to be taken away; asked by all of them before every step."""
