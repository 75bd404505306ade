"""No past at all: the batch is contrasted with itself."""

from typing import Literal

import torch
from torch import Tensor, nn

from trainables.protocols import Batch, MemoryMember, Operation, Rows, Shapes


class InBatch(MemoryMember):
    """The other samples of the batch are the candidates (Chen et al. 2020, arXiv 2002.05709, section 2.1).

    Departures: rows carry no gradient, here as in every memory, so that several workers give what one would.
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

    def keys(self, sample_B: Tensor) -> Tensor:
        """The samples themselves."""
        return sample_B

    def rows(self, batch: Batch) -> Rows:
        """The batch itself."""
        return Rows(batch.student_BD.detach(), batch.teacher_BD.detach(), batch.sample_B)

    def positives(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The current embeddings."""
        return batch.student_BD, batch.teacher_BD

    def write(self, batch: Batch) -> None:
        """Nothing is kept."""
