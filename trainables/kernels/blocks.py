"""The rows that anchors are held against, in blocks that stay in a core's cache from score to gradient."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.protocols import Draws

#: Scores of a block, B x its rows: half a megabyte in float32, and its rows of 128 values one.
_SCORES = 2**17

#: A row that an anchor picks costs some nine times as much as one that it is held against together with all others:
#: picked rows are read one by one, the others by matrix products (`benchmarks.contrast` prints both).
_PICK = 9


@dataclass(frozen=True)
class Block:
    """Some of the rows, and what of `Draws` belongs to them; `weight_BR` only where rows differ in it (`factor`)."""

    rows_RD: Tensor
    weight_BR: Tensor | None
    never_BR: Tensor | None


def worth_picking(draws: Draws) -> bool:
    """Whether draws of their own are so few, beside the rows of the memory, that reading them one by one is faster."""
    return not draws.shared and _PICK * draws.count < draws.rows


def blocks(rows_MD: Tensor, draws: Draws, like: Tensor) -> Iterator[Block]:
    """The rows that all anchors share, in the type of number of the anchors `like` (B, D)."""
    held = rows_MD if draws.row_BR is None else draws.row_BR[0]
    size = max(256, _SCORES // len(like))
    for start in range(0, len(held), size):
        place = slice(start, start + size)
        rows_RD = held[place] if draws.row_BR is None else rows_MD.index_select(0, held[place])
        never_BR = None if draws.never_BR is None else draws.never_BR[:, place]
        yield Block(rows_RD.to(like.dtype), _weights(draws, place, like), never_BR)


def _weights(draws: Draws, place: slice, like: Tensor) -> Tensor | None:
    weight_BR = draws.weight_BR
    return None if weight_BR is None or weight_BR.shape[1] == 1 else weight_BR[:, place].to(like.dtype)


def scores(anchor_BD: Tensor, block: Block) -> Tensor:
    """Inner products, (B, R); minus infinity for rows that are no negatives of an anchor."""
    score_BR = anchor_BD @ block.rows_RD.T
    return score_BR if block.never_BR is None else score_BR.masked_fill_(block.never_BR, -torch.inf)


def factor(draws: Draws, like: Tensor) -> Tensor:
    """How often every row of an anchor counts, (B, 1), if it is the same for all: it can wait until all are summed."""
    weight_BR = draws.weight_BR
    if weight_BR is None or weight_BR.shape[1] > 1:
        return like.new_ones(len(like), 1)
    return weight_BR.to(like.dtype)
