"""Every row is as likely as any other."""

from typing import Literal

import torch
from pydantic import Field

from trainables.draws import Draws, Mode
from trainables.negatives.candidates import Excluded, held_by_all, ranks
from trainables.negatives.counts import uniform_draws_of_other_keys
from trainables.protocols import Anchors, NegativesMember, Rows


class Uniform(NegativesMember):
    """`count` independent draws for each anchor (with replacement), from all rows that are not of its own key.

    Independent draws are what noise-contrastive estimation assumes (Tian et al. 2020, arXiv 1910.10699, section 3.1).
    In `shared` mode all anchors of a batch share one draw, in `full` mode every row counts `count / candidates` times.

    Departures: none.
    """

    name: Literal["uniform"] = "uniform"
    count: int = Field(64, ge=1, le=10_000_000)

    def build(self) -> "UniformNegatives":
        """The sampler."""
        return UniformNegatives(self.mode)


class UniformNegatives:
    """See `Uniform`."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K negatives for each anchor."""
        key_M = rows.key_M
        if self.mode == "exact":
            return uniform_draws_of_other_keys(anchors, rows, count, generator)
        if self.mode == "full":
            return held_by_all(Excluded.of_same_key(anchors, key_M), count, len(key_M))
        every_1 = torch.full((1,), len(key_M), device=key_M.device)  # made there: a copy of a tensor is waited for
        row_K = ranks(every_1, count, generator)[0]
        return held_by_all(Excluded.of_same_key(anchors, key_M[row_K]), count, len(key_M), row_K)
