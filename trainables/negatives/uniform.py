"""Every row is as likely as any other."""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field

from trainables.draws import Draws, Mode
from trainables.negatives.candidates import (
    every_row,
    none_of_same_key,
    ranks,
    shared_draws,
    uniform_rows_of_other_keys,
)
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
        if self.mode == "exact":
            return Draws(count, len(rows.key_M), uniform_rows_of_other_keys(anchors, rows, count, generator))
        if self.mode == "full":
            candidate_BM, own = none_of_same_key(anchors, rows.key_M)
            return replace(every_row(candidate_BM, count), never=own)
        row_K = ranks(torch.tensor([len(rows.key_M)], device=rows.key_M.device), count, generator)[0]
        candidate_BK, own = none_of_same_key(anchors, rows.key_M[row_K])
        return replace(shared_draws(row_K, candidate_BK, count, len(rows.key_M)), never=own)
