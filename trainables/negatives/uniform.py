"""Every row is as likely as any other."""

from typing import Literal

import torch
from pydantic import Field

from trainables.negatives.candidates import of_other_keys, uniform_draws
from trainables.protocols import Anchors, Draws, NegativesMember, Rows


class Uniform(NegativesMember):
    """`count` independent draws for each anchor (with replacement), from all rows that are not of its own key.

    Independent draws are what noise-contrastive estimation assumes (Tian et al. 2020, arXiv 1910.10699, section 3.1).

    Departures: none.
    """

    name: Literal["uniform"] = "uniform"
    count: int = Field(64, ge=1, le=10_000_000)

    def build(self) -> "UniformNegatives":
        """The sampler."""
        return UniformNegatives()


class UniformNegatives:
    """See `Uniform`."""

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor."""
        return uniform_draws(of_other_keys(anchors, rows), count, generator)
