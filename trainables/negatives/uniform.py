"""Every row is as likely as any other."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from trainables.base import Config
from trainables.protocols import Draws, Rows


class Uniform(Config):
    """`count` independent draws for each anchor (with replacement), from all rows that are not of its own sample.

    Independent draws are what noise-contrastive estimation assumes (Tian et al. 2020, section 3.1).
    """

    name: Literal["uniform"] = "uniform"
    count: int = Field(64, ge=1, le=10_000_000)

    def build(self) -> "UniformNegatives":
        """The sampler."""
        return UniformNegatives()


class UniformNegatives:
    """See `Uniform`."""

    def draw(self, sample_B: Tensor, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor."""
        candidate_BM = rows.sample_M.unsqueeze(0) != sample_B.unsqueeze(1)
        candidates_B = candidate_BM.sum(dim=1)
        # The r-th candidate of an anchor is found by its rank: one pass over a B x M mask, whatever K is.
        uniform_BK = torch.rand(len(sample_B), count, generator=generator, dtype=torch.float64)
        rank_BK = (uniform_BK * candidates_B.unsqueeze(1)).long() + 1
        row_BK = torch.searchsorted(candidate_BM.cumsum(dim=1), rank_BK)
        logq_BK = -candidates_B.log().unsqueeze(1).expand_as(row_BK)
        return Draws(row_BK, logq_BK, candidates_B)
