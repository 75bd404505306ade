"""What a sampler of negatives says to a loss. Part of the contracts of `trainables.protocols`, whose suffixes hold."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

#: How the K negatives of an anchor are had: `exact`, each anchor draws K rows of its own; `shared`, all anchors of a
#: batch share K draws; `full`, no draws: every row counts as often as K draws would hold it on average.
Mode = Literal["exact", "shared", "full"]

#: A row that an anchor picks costs some nine times as much as one that it is held against together with all others:
#: picked rows are read one by one, the others by matrix products (`benchmarks.contrast` prints both). On an H200, for
#: 1,024 anchors, 6 to 8 times in float32 and 14 in bfloat16; for 64, either takes no longer than its launches.
_PICK = 9


def worth_picking(count: int, rows: int) -> bool:
    """Whether `count` draws of each anchor are so few, beside the rows of the memory, that they are read one by one."""
    return _PICK * count < rows


@dataclass(frozen=True)
class Draws:
    """R rows of a memory that stand for the K = `count` negatives of each anchor, and how often each of them counts.

    `row_BR` holds the rows of each anchor (B, K), or, as (1, K), the rows that all anchors share; None is every row of
    the memory in its order. `weight_BR`, which broadcasts to (B, R), is how often a row counts, by 1 where it is None:
    the sum of a function over rows, weighted so, has the expectation that K uniform draws from the rows that may be
    negatives of the anchor would give (Horvitz and Thompson 1952), unless a sampler wants its draws as they came.
    `never_BR` is True for rows that are among the R but are no negatives of this anchor; `never`, if a sampler knows
    them, are the same pairs one by one, as numbers of anchors and places among the R, in the order of the latter.

    `sharpness` and `prior` say which other expectation is wanted instead: negatives tilted by exp(sharpness * score),
    and a share `prior` of false ones taken out (Robinson et al. 2021); mostly both are 0.
    """

    count: int
    rows: int
    row_BR: Tensor | None = None
    weight_BR: Tensor | None = None
    never_BR: Tensor | None = None
    never: tuple[Tensor, Tensor] | None = None
    sharpness: float = 0.0
    prior: float = 0.0

    def of(self, anchors: slice) -> "Draws":
        """The draws of some of the anchors."""
        if anchors == slice(0, self.anchors):
            return self
        row_BR, weight_BR, never_BR = self.row_BR, self.weight_BR, self.never_BR
        return replace(
            self,
            row_BR=row_BR if self.shared or row_BR is None else row_BR[anchors],
            weight_BR=None if weight_BR is None else weight_BR[anchors],
            never_BR=None if never_BR is None else never_BR[anchors],
            never=None,
        )

    @property
    def anchors(self) -> int | None:
        """B, where anything tells anchors apart."""
        known = [tensor for tensor in (self.row_BR, self.weight_BR, self.never_BR) if tensor is not None]
        return max(map(len, known), default=None)

    @property
    def shared(self) -> bool:
        """Whether all anchors are held against the same rows."""
        return self.row_BR is None or len(self.row_BR) == 1

    @property
    def held(self) -> int:
        """R: rows that each anchor is held against."""
        return self.rows if self.row_BR is None else self.row_BR.shape[1]

    @cached_property
    def never_pairs(self) -> tuple[Tensor, Tensor]:
        """Anchors and places of the pairs that `never_BR` excludes, in the order of their places."""
        if self.never is not None:
            return self.never
        assert self.never_BR is not None
        anchor_P, place_P = self.never_BR.nonzero(as_tuple=True)
        order_P = place_P.argsort()
        return anchor_P[order_P], place_P[order_P]

    @cached_property
    def counted(self) -> "Draws":
        """The same as a weight for every row of the memory: how often each anchor drew it; for draws of their own."""
        assert self.row_BR is not None
        weight_BR = self.weight_BR
        if weight_BR is None:
            weight_BR = torch.ones((), device=self.row_BR.device)
        weight_BM = weight_BR.new_zeros(len(self.row_BR), self.rows)
        weight_BM.scatter_add_(1, self.row_BR, weight_BR.expand(self.row_BR.shape))
        return replace(self, row_BR=None, weight_BR=weight_BM)
