"""What negatives add to the denominator of a softmax."""

import torch
from torch import Tensor

from trainables.draws import Draws
from trainables.kernels.blocks import as_read, blocks, factor
from trainables.kernels.gradients import with_slopes
from trainables.kernels.picks import picked_scores, picks, weighted_sums
from trainables.kernels.triton_sums import split_sums, suits


def log_sum_exp(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, scale: float) -> Tensor:
    """log of the sum over the negatives of ``exp(scale * a.n)``, each counted by its weight, (B,).

    Minus infinity for an anchor without negatives. Gradient reaches the anchors. Of `draws`, sharpness and prior are
    the caller's business. One pass: the largest score so far is carried along (Milakov and Gimelshein 2018, arXiv
    1805.02867).
    """
    with torch.no_grad():
        draws = as_read(draws)
        sums = _of_splits if suits(anchor_BD, rows_MD) else _of_blocks if draws.shared else _of_picks
        value_B, mean_BD = sums(anchor_BD * scale, rows_MD, draws)
    return with_slopes(value_B, (mean_BD * scale, anchor_BD))


def _of_splits(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    largest_SB, sum_SB, sum_SBD = split_sums(anchor_BD, rows_MD, draws)
    largest_1B = largest_SB.amax(dim=0, keepdim=True)
    share_SB1 = (largest_SB - largest_1B).exp_().unsqueeze(2)
    sum_B1, sum_BD = ((sums * share_SB1).sum(dim=0) for sums in (sum_SB.unsqueeze(2), sum_SBD))
    value_B, mean_BD = _finished(largest_1B.T, sum_B1, sum_BD)
    return value_B + factor(draws, anchor_BD).log().squeeze(1), mean_BD


def _of_blocks(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    largest_B1 = torch.full_like(anchor_BD[:, :1], torch.finfo(anchor_BD.dtype).min)
    sum_B1, sum_BD = torch.zeros_like(largest_B1), torch.zeros_like(anchor_BD)
    for block in blocks(rows_MD, draws, anchor_BD):
        score_BR = block.score_BR
        if block.weight_BR is not None:  # a score that does not count must not be the one that others vanish beside
            score_BR.masked_fill_(block.weight_BR == 0, -torch.inf)
        larger_B1 = torch.maximum(largest_B1, score_BR.amax(dim=1, keepdim=True))
        share_BR = score_BR.sub_(larger_B1).exp_()
        if block.weight_BR is not None:
            share_BR.mul_(block.weight_BR)
        before_B1 = (largest_B1 - larger_B1).exp_()
        sum_B1 = sum_B1 * before_B1 + share_BR.sum(dim=1, keepdim=True)
        sum_BD.mul_(before_B1).addmm_(share_BR, block.rows_RD)
        largest_B1 = larger_B1
    value_B, mean_BD = _finished(largest_B1, sum_B1, sum_BD)
    return value_B + factor(draws, anchor_BD).log().squeeze(1), mean_BD


def _of_picks(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    value_B, mean_BD = torch.empty_like(anchor_BD[:, 0]), torch.empty_like(anchor_BD)
    for some, table_MD, row_BK in picks(rows_MD, draws, anchor_BD):
        score_BK = picked_scores(anchor_BD[some], table_MD, row_BK)
        largest_B1 = score_BK.amax(dim=1, keepdim=True)
        share_BK = score_BK.sub_(largest_B1).exp_()
        if draws.weight_BR is not None:
            share_BK.mul_(draws.weight_BR[some].to(anchor_BD.dtype))
        sums_BD = weighted_sums(share_BK, table_MD, row_BK)
        value_B[some], mean_BD[some] = _finished(largest_B1, share_BK.sum(dim=1, keepdim=True), sums_BD)
    return value_B, mean_BD


def _finished(largest_B1: Tensor, sum_B1: Tensor, sum_BD: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm (B,), and the mean row (B, D) in proportion to the exponentials; zero where there are none."""
    return (largest_B1 + sum_B1.log()).squeeze(1), torch.where(sum_B1 > 0, sum_BD / sum_B1, 0)
