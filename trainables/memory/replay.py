"""A fair sample of everything that has passed, however the stream is ordered."""

from typing import Literal

import torch
from torch import Tensor

from trainables.memory.stream import StreamMember, StreamMemory
from trainables.protocols import Shapes
from trainables.randomness import torch_stream


class Replay(StreamMember):
    """A reservoir of `size` embeddings of each network, uniform over the stream so far (Vitter 1985, algorithm R).

    Item t, counted from 0, fills slot t while there are free ones, and later replaces a slot chosen uniformly with
    probability size / (t + 1). A queue forgets the past of a stream whose classes come one after the other; this does
    not. Reservoirs hold the samples of experience replay in Chaudhry et al. 2019 (arXiv 1902.10486); COCONUT
    (Cappellazzo et al. 2023, arXiv 2310.02699) contrasts against replayed samples.

    Departures: embeddings are kept as they were, instead of samples that are embedded anew.
    """

    name: Literal["replay"] = "replay"

    def build(self, shapes: Shapes, generator: torch.Generator) -> "ReplayMemory":
        """The memory of one trial, full of random directions."""
        return ReplayMemory(self, shapes.width, generator)


class ReplayMemory(StreamMemory):
    """See `Replay`. Its random numbers are keyed by a seed and the count of what has passed, both in buffers."""

    seed: Tensor

    def __init__(self, config: Replay, width: int, generator: torch.Generator) -> None:
        super().__init__(config, width, generator)
        self.register_buffer("seed", torch.randint(2**62, (), generator=generator))

    def slots(self, samples: int) -> Tensor:
        """Slot t of item t while there are free ones, then any of the t + 1 first numbers, few of which are slots."""
        passed = int(self.passed)
        item_B = passed + torch.arange(samples)
        uniform_B = torch.rand(samples, generator=torch_stream(int(self.seed), "replay", passed), dtype=torch.float64)
        drawn_B = (uniform_B * (item_B + 1)).long()
        return torch.where(item_B < self.size, item_B, drawn_B)

    def places(self, samples: int) -> tuple[Tensor, Tensor]:
        """The slots of those that are kept, as one sample comes after the other: of several for a slot the last one."""
        slot_B = self.slots(samples)
        kept = (slot_B < self.size).nonzero().squeeze(1)
        slot, group = torch.unique(slot_B[kept], return_inverse=True)
        last = torch.zeros_like(slot).scatter_reduce(0, group, kept, "amax")
        return slot.to(self.passed.device), last.to(self.passed.device)
