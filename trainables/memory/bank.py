"""One row per kept sample, moved a little towards each new embedding."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.protocols import BYTES_OF, Batch, MemoryMember, Operation, Rows, RowType, Shapes


class Bank(MemoryMember):
    """A row for each of `size` source samples (Wu et al. 2018, arXiv 1805.01978, section 3.1; Tian et al. 2020).

    ``row <- normalise(momentum * row + (1 - momentum) * new)`` after each step. Rows start as they do in
    the release of CRD: uniform in +-sqrt(3/D), so of length about one.

    Departures: with `size` below the number of source samples, a seeded choice of samples is kept: the others are
    anchors, never negatives, and take the current embedding as their positive.
    """

    name: Literal["bank"] = "bank"
    size: int = Field(512, ge=2, le=10_000_000)
    momentum: float = Field(0.5, ge=0, lt=1)
    dtype: RowType = "float32"

    @property
    def row_bytes(self) -> int:
        """As `dtype` says."""
        return BYTES_OF[self.dtype]

    def rows_kept(self, batch: int) -> int:  # noqa: ARG002 (the batch has no say)
        """Rows that an anchor can be held against."""
        return self.size

    def build(self, shapes: Shapes, generator: torch.Generator) -> "BankMemory":
        """The memory of one trial, with random rows."""
        return BankMemory(self, shapes, generator)

    def operations(self, shapes: Shapes, sides: int) -> list[Operation]:
        """The batch's share of kept rows, read and written."""
        return [move_operation(shapes.batch * shapes.rows // shapes.samples, shapes.width, sides, self.row_bytes)]

    def resident_bytes(self, shapes: Shapes, sides: int) -> int:
        """Its rows, the sample of each, and the row of each sample."""
        return self.size * (sides * shapes.width * self.row_bytes + 8) + shapes.samples * 8


class BankMemory(nn.Module):
    """See `Bank`."""

    student_MD: Tensor
    teacher_MD: Tensor
    key_M: Tensor
    row_N: Tensor

    def __init__(self, config: Bank, shapes: Shapes, generator: torch.Generator) -> None:
        super().__init__()
        self.momentum = config.momentum
        bound = (3 / shapes.width) ** 0.5
        for side in ("student_MD", "teacher_MD"):
            uniform = torch.rand(config.size, shapes.width, generator=generator)
            self.register_buffer(side, ((2 * uniform - 1) * bound).to(getattr(torch, config.dtype)))
        kept = torch.randperm(shapes.samples, generator=generator)[: config.size]
        row_N = torch.full((shapes.samples,), -1)
        row_N[kept] = torch.arange(len(kept))
        self.register_buffer("key_M", kept)
        self.register_buffer("row_N", row_N)

    def keys(self, sample_B: Tensor) -> Tensor:
        """The samples themselves."""
        return sample_B

    def rows(self, batch: Batch) -> Rows:  # noqa: ARG002 (only the past)
        """Every kept row."""
        return Rows(self.student_MD, self.teacher_MD, self.key_M)

    def positives(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The rows of kept samples, and for the others the current embeddings."""
        row_B = self.row_N[batch.sample_B]
        kept_B1 = (row_B >= 0).unsqueeze(1)
        student = torch.where(kept_B1, self.student_MD[row_B], batch.student_BD)
        teacher = torch.where(kept_B1, self.teacher_MD[row_B], batch.teacher_BD)
        return student, teacher

    def write(self, batch: Batch) -> None:
        """Move the rows of the batch's kept samples."""
        row_B = self.row_N[batch.sample_B]
        if len(self.key_M) == len(self.row_N):  # all are kept, and no device has to say which
            move_(self.student_MD, row_B, batch.student_BD, self.momentum)
            move_(self.teacher_MD, row_B, batch.teacher_BD, self.momentum)
            return
        kept_B = row_B >= 0
        move_(self.student_MD, row_B[kept_B], batch.student_BD[kept_B], self.momentum)
        move_(self.teacher_MD, row_B[kept_B], batch.teacher_BD[kept_B], self.momentum)


def move_(rows_MD: Tensor, row_B: Tensor, new_BD: Tensor, momentum: float) -> None:
    """Move rows, in place, towards new embeddings and back to length one."""
    mixed = momentum * rows_MD[row_B].to(new_BD.dtype) + (1 - momentum) * new_BD.detach()
    rows_MD[row_B] = nn.functional.normalize(mixed, dim=1).to(rows_MD.dtype)


def move_operation(rows: int, width: int, sides: int, row_bytes: int = 4) -> Operation:
    """Nominal cost of moving rows: each read and written once."""
    return Operation("memory_write", flops=sides * 4 * rows * width, bytes=sides * 2 * rows * width * row_bytes)
