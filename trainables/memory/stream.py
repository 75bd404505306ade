"""What a queue and a reservoir share: a fixed number of slots, written by the samples of a stream as they pass."""

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.protocols import BYTES_OF, NOBODY, Batch, MemoryMember, Operation, Rows, RowType, Shapes


class StreamMember(MemoryMember):
    """The config of a memory of `size` slots that knows samples only as they pass."""

    size: int = Field(512, ge=2, le=10_000_000)
    dtype: RowType = "float32"

    @property
    def row_bytes(self) -> int:
        """As `dtype` says."""
        return BYTES_OF[self.dtype]

    def rows_kept(self, batch: int) -> int:  # noqa: ARG002 (the batch has no say)
        """Rows that an anchor can be held against."""
        return self.size

    def operations(self, shapes: Shapes, sides: int) -> list[Operation]:
        """B rows written."""
        return [Operation("memory_write", flops=0, bytes=sides * shapes.batch * shapes.width * self.row_bytes)]

    def resident_bytes(self, shapes: Shapes, sides: int) -> int:
        """Its rows, and the sample of each."""
        return self.size * (sides * shapes.width * self.row_bytes + 8)


class StreamMemory(nn.Module):
    """Slots full of random directions, which samples of the stream replace; `passed` counts all that came by."""

    student_MD: Tensor
    teacher_MD: Tensor
    key_M: Tensor
    passed: Tensor

    def __init__(self, config: StreamMember, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.size = size = config.size
        for side in ("student_MD", "teacher_MD"):
            self.register_buffer(side, random_directions(size, width, generator).to(getattr(torch, config.dtype)))
        self.register_buffer("key_M", torch.full((size,), NOBODY))
        self.register_buffer("passed", torch.tensor(0))

    def places(self, samples: int) -> tuple[Tensor, Tensor]:
        """Slots, none of them twice, and which of the next samples goes into each."""
        raise NotImplementedError

    def keys(self, sample_B: Tensor) -> Tensor:
        """The samples themselves."""
        return sample_B

    def rows(self, batch: Batch) -> Rows:  # noqa: ARG002 (only the past)
        """Every slot."""
        return Rows(self.student_MD, self.teacher_MD, self.key_M)

    def positives(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The current embeddings: no slot belongs to a sample."""
        return batch.student_BD, batch.teacher_BD

    def write(self, batch: Batch) -> None:
        """Put the batch into its slots."""
        slot, which = self.places(len(batch.sample_B))
        self.student_MD[slot] = batch.student_BD.detach()[which].to(self.student_MD.dtype)
        self.teacher_MD[slot] = batch.teacher_BD.detach()[which].to(self.teacher_MD.dtype)
        self.key_M[slot] = batch.sample_B[which]
        self.passed += len(batch.sample_B)


def random_directions(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Rows uniform on the sphere, (count, width)."""
    return nn.functional.normalize(torch.randn(count, width, generator=generator), dim=1)
