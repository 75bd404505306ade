"""The most recent embeddings, first in, first out."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.base import Config
from trainables.protocols import Operation, Rows, Shapes

NO_SAMPLE = -1  # a row that no sample has written yet


class Queue(Config):
    """A ring of the last `size` embeddings of each network (He et al. 2020, arXiv 1911.05722, section 3.2).

    Starts with random directions. `size` need not be a multiple of the batch: writing wraps around and drops nothing.
    """

    name: Literal["queue"] = "queue"
    size: int = Field(512, ge=2, le=10_000_000)

    def rows_kept(self, batch: int) -> int:  # noqa: ARG002 (the batch has no say)
        """Rows that an anchor can be held against."""
        return self.size

    def build(self, shapes: Shapes, generator: torch.Generator) -> "QueueMemory":
        """The memory of one trial, full of random directions."""
        return QueueMemory(self.size, shapes.width, generator)

    def operations(self, shapes: Shapes, sides: int) -> list[Operation]:
        """B rows written."""
        return [Operation("memory_write", flops=0, bytes=sides * shapes.batch * shapes.width * 4)]

    def resident_bytes(self, shapes: Shapes, sides: int) -> int:
        """Its rows, and the sample of each."""
        return self.size * (sides * shapes.width * 4 + 8)


class QueueMemory(nn.Module):
    """See `Queue`."""

    student_MD: Tensor
    teacher_MD: Tensor
    sample_M: Tensor
    pointer: Tensor

    def __init__(self, size: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.size = size
        for side in ("student_MD", "teacher_MD"):
            random = torch.randn(size, width, generator=generator)
            self.register_buffer(side, nn.functional.normalize(random, dim=1))
        self.register_buffer("sample_M", torch.full((size,), NO_SAMPLE))
        self.register_buffer("pointer", torch.tensor(0))

    def rows(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor) -> Rows:  # noqa: ARG002 (only the past)
        """The whole ring."""
        return Rows(self.student_MD, self.teacher_MD, self.sample_M)

    def positives(
        self,
        sample_B: Tensor,  # noqa: ARG002 (a ring has no row that belongs to a sample)
        student_BD: Tensor,
        teacher_BD: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The current embeddings."""
        return student_BD, teacher_BD

    def write(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor) -> None:
        """Append the batch in its order; of a batch longer than the ring, its last `size` rows remain."""
        kept = slice(max(0, len(sample_B) - self.size), None)
        position = (self.pointer + torch.arange(len(sample_B), device=sample_B.device)[kept]) % self.size
        self.student_MD[position] = student_BD.detach()[kept].to(self.student_MD.dtype)
        self.teacher_MD[position] = teacher_BD.detach()[kept].to(self.teacher_MD.dtype)
        self.sample_M[position] = sample_B[kept]
        self.pointer.copy_((self.pointer + len(sample_B)) % self.size)
