"""The rows that anchors are held against, in blocks: each is worked on from score to gradient before the next."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.draws import Draws, worth_picking

#: Scores of a block, B x its rows: two megabytes in float32, for which a call of torch costs next to nothing.
_SCORES = 2**19

#: Of the pairs of a block, the share that is excluded one by one; where it is more, by a mask of all pairs.
_SPARSE = 0.01


@dataclass(frozen=True)
class Block:
    """The scores of some rows (B, R), minus infinity for rows that are no negatives of an anchor, and a place to work.

    `weight_BR` is there only where rows differ in it (see `factor`).
    """

    score_BR: Tensor
    rows_RD: Tensor
    weight_BR: Tensor | None
    scratch_BR: Tensor


def one_by_one(draws: Draws) -> bool:
    """Whether draws of their own are read one by one: where they are so few that it pays.

    And wherever a GPU would count them by adding weights that differ: it does so in another order each time.
    """
    if draws.row_BR is None or draws.shared:
        return False
    by_chance = draws.row_BR.is_cuda and draws.weight_BR is not None and draws.weight_BR.shape[1] > 1
    return by_chance or worth_picking(draws.count, draws.rows)


def as_read(draws: Draws) -> Draws:
    """Draws of their own that are not worth picking become counts of every row, which all anchors share."""
    return draws if draws.shared or one_by_one(draws) else draws.counted


def blocks(rows_MD: Tensor, draws: Draws, anchor_BD: Tensor) -> Iterator[Block]:
    """The rows that all anchors share, in the anchors' type of number. A block is overwritten by the next one."""
    held = rows_MD if draws.row_BR is None else draws.row_BR[0]
    size = max(256, _SCORES // len(anchor_BD))
    # memory that is taken anew for each block costs more than what is computed in it
    space = anchor_BD.new_empty(2, len(anchor_BD) * min(size, len(held)))
    starts = range(0, len(held), size)
    exclude = _Excluded(draws, [min(start + size, len(held)) for start in starts])
    for number, start in enumerate(starts):
        place = slice(start, min(start + size, len(held)))
        rows_RD = (held[place] if draws.row_BR is None else rows_MD.index_select(0, held[place])).to(anchor_BD.dtype)
        score_BR, scratch_BR = space[:, : len(anchor_BD) * len(rows_RD)].view(2, len(anchor_BD), -1)
        torch.mm(anchor_BD, rows_RD.T, out=score_BR)
        exclude(score_BR, place, number)
        yield Block(score_BR, rows_RD, _weights(draws, place, anchor_BD), scratch_BR)


def factor(draws: Draws, like: Tensor) -> Tensor:
    """How often every row of an anchor counts, (B, 1), if it is the same for all: it can wait until all are summed."""
    weight_BR = draws.weight_BR
    if weight_BR is None or weight_BR.shape[1] > 1:
        return like.new_ones(len(like), 1)
    return weight_BR.to(like.dtype)


def _weights(draws: Draws, place: slice, like: Tensor) -> Tensor | None:
    weight_BR = draws.weight_BR
    return None if weight_BR is None or weight_BR.shape[1] == 1 else weight_BR[:, place].to(like.dtype)


class _Excluded:
    """Takes the scores of rows that are no negatives to minus infinity: few of them pair by pair, in their order."""

    def __init__(self, draws: Draws, stops: list[int]) -> None:
        self.never_BR, self.pairs = draws.never_BR, _few_pairs(draws)
        self.ends = [0] if self.pairs is None else [0, *torch.searchsorted(self.pairs[1], torch.tensor(stops)).tolist()]

    def __call__(self, score_BR: Tensor, place: slice, number: int) -> None:
        if self.pairs is not None:
            anchor_P, place_P = (of_P[self.ends[number] : self.ends[number + 1]] for of_P in self.pairs)
            score_BR[anchor_P, place_P - place.start] = -torch.inf
        elif self.never_BR is not None:
            score_BR.masked_fill_(self.never_BR[:, place], -torch.inf)


def _few_pairs(draws: Draws) -> tuple[Tensor, Tensor] | None:
    """The pairs that are excluded, if they are few, and no device has to be waited for to know."""
    if draws.never_BR is None or draws.never_BR.is_cuda:
        return None
    count = len(draws.never[0]) if draws.never is not None else int(draws.never_BR.count_nonzero())
    return draws.never_pairs if count <= _SPARSE * draws.never_BR.numel() else None
