"""No past at all: the batch is contrasted with itself."""

from typing import Literal

import torch
from torch import Tensor, nn

from trainables.base import Config
from trainables.protocols import Operation, Rows, Shapes


class InBatch(Config):
    """The other samples of the batch are the candidates (Chen et al. 2020, arXiv 2002.05709, section 2.1).

    Departure: rows carry no gradient, here as in every memory, so that several workers give what one would.
    """

    name: Literal["in_batch"] = "in_batch"

    def rows_kept(self, batch: int) -> int:
        """Rows that an anchor can be held against, its own included."""
        return batch

    def build(self, shapes: Shapes, generator: torch.Generator) -> "InBatchMemory":  # noqa: ARG002 (keeps nothing)
        """The memory of one trial."""
        return InBatchMemory()

    def operations(self, shapes: Shapes, sides: int) -> list[Operation]:  # noqa: ARG002 (writes nothing)
        """Nothing is written."""
        return []

    def resident_bytes(self, shapes: Shapes, sides: int) -> int:  # noqa: ARG002 (keeps nothing)
        """Nothing is kept."""
        return 0


class InBatchMemory(nn.Module):
    """See `InBatch`."""

    def rows(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor) -> Rows:
        """The batch itself."""
        return Rows(student_BD.detach(), teacher_BD.detach(), sample_B)

    def positives(
        self,
        sample_B: Tensor,  # noqa: ARG002 (no row is kept)
        student_BD: Tensor,
        teacher_BD: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The current embeddings."""
        return student_BD, teacher_BD

    def write(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor) -> None:
        """Nothing is kept."""
