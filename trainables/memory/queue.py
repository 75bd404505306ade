"""The most recent embeddings, first in, first out."""

from typing import Literal

import torch
from torch import Tensor

from trainables.memory.stream import StreamMember, StreamMemory
from trainables.protocols import Shapes


class Queue(StreamMember):
    """A ring of the last `size` embeddings of each network (He et al. 2020, arXiv 1911.05722, section 3.2).

    Starts with random directions. `size` need not be a multiple of the batch: writing wraps around and drops nothing.

    Departures: the embeddings are those of the two networks as they train, not of a momentum encoder.
    """

    name: Literal["queue"] = "queue"

    def build(self, shapes: Shapes, generator: torch.Generator) -> "QueueMemory":
        """The memory of one trial, full of random directions."""
        return QueueMemory(self, shapes.width, generator)


class QueueMemory(StreamMemory):
    """See `Queue`."""

    def places(self, samples: int) -> tuple[Tensor, Tensor]:
        """The slots that were written longest ago; of a batch larger than the queue the last samples stay."""
        which = torch.arange(max(0, samples - self.size), samples, device=self.passed.device)
        return (self.passed + which) % self.size, which
