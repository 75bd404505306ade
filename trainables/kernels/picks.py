"""Rows that each anchor picks for itself, read one by one: K of them are few beside the rows of the memory."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from trainables.draws import Draws

#: Rows in the anchors' own type of number that are gathered at a time, if those of the memory are of another.
_GATHERED = 2**14


def picks(rows_MD: Tensor, draws: Draws, like: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Some anchors, a table of rows in the type of number of the anchors `like` (B, D), and the places of theirs in it.

    The table is the memory itself, and all anchors come at once, unless its numbers have to be converted.
    """
    assert draws.row_BR is not None
    if rows_MD.dtype == like.dtype:
        yield slice(None), rows_MD, draws.row_BR
        return
    count = draws.row_BR.shape[1]
    some = max(1, _GATHERED // count)
    for start in range(0, len(like), some):
        row_bK = draws.row_BR[start : start + some]
        table = rows_MD.index_select(0, row_bK.reshape(-1)).to(like.dtype)
        yield slice(start, start + some), table, torch.arange(row_bK.numel(), device=like.device).view_as(row_bK)


def picked_scores(anchor_BD: Tensor, table_MD: Tensor, row_BK: Tensor) -> Tensor:
    """Inner products of each anchor with its rows, (B, K); no row is copied.

    That is the gradient of a weighted sum of rows with respect to the weights, which torch makes in one go and offers
    under this name alone.
    """
    anchors, count = row_BK.shape
    bag = torch.arange(anchors, device=row_BK.device).repeat_interleave(count)
    score: Tensor = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        anchor_BD, table_MD, row_BK.reshape(-1), _offsets(row_BK), bag, 0
    )
    return score.view(anchors, count)


def weighted_sums(weight_BK: Tensor, table_MD: Tensor, row_BK: Tensor) -> Tensor:
    """The sum of the rows of each anchor, each times its weight, (B, D); no row is copied."""
    weight = weight_BK.reshape(-1)
    return embedding_bag(row_BK.reshape(-1), table_MD, _offsets(row_BK), mode="sum", per_sample_weights=weight)


def _offsets(row_BK: Tensor) -> Tensor:
    return torch.arange(len(row_BK), device=row_BK.device) * row_BK.shape[1]
