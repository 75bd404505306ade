"""What negatives cost in noise-contrastive estimation."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from trainables.draws import Draws
from trainables.kernels.blocks import as_read, blocks, factor
from trainables.kernels.gradients import with_slopes
from trainables.kernels.picks import picked_scores, picks, weighted_sums
from trainables.kernels.triton_sums import split_sums, suits

_LINEAR = 40.0  # above it, softplus is its argument, in double precision too


def noise_surprisal(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, scale: float, log_noise: Tensor) -> Tensor:
    """The sum over the negatives of ``log(1 + exp(scale * a.n - log_noise))``, (B,).

    That is -log of the probability that a negative is noise (Gutmann and Hyvärinen 2010; Tian et al. 2020, arXiv
    1910.10699, eq. 10). Gradient reaches anchors and `log_noise`, a scalar. Of `draws`, sharpness and prior are the
    caller's business.
    """
    with torch.no_grad():
        log_noise_, draws = log_noise.to(anchor_BD.dtype), as_read(draws)
        sums = _of_splits if suits(anchor_BD, rows_MD) else _of_blocks if draws.shared else _of_picks
        value_B, slope_B, slope_BD = sums(anchor_BD * scale, rows_MD, draws, log_noise_)
    return with_slopes(value_B, (slope_BD * scale, anchor_BD), (-slope_B.to(log_noise.dtype), log_noise))


def _of_splits(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, log_noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value_SB, slope_SB, slope_SBD = split_sums(anchor_BD, rows_MD, draws, log_noise)
    factor_B1 = factor(draws, anchor_BD)
    value_B, slope_B = (sum_SB.sum(dim=0).mul_(factor_B1.squeeze(1)) for sum_SB in (value_SB, slope_SB))
    return value_B, slope_B, slope_SBD.sum(dim=0).mul_(factor_B1)


def _of_blocks(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, log_noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value_SB, slope_SB, slope_BD = [], [], torch.zeros_like(anchor_BD)
    for block in blocks(rows_MD, draws, anchor_BD):
        odds_BR = block.score_BR.sub_(log_noise)
        value_SB.append(_summed(torch.exp(odds_BR, out=block.scratch_BR).log1p_(), block.weight_BR))
        if not value_SB[-1].isfinite().all():  # an exponential overflowed, which softplus, a third slower, sees to
            torch.ops.aten.softplus.out(odds_BR, 1, _LINEAR, out=block.scratch_BR)
            value_SB[-1] = _summed(block.scratch_BR, block.weight_BR)
        share_BR = odds_BR.sigmoid_()
        slope_SB.append(_summed(share_BR, block.weight_BR))
        slope_BD.addmm_(share_BR, block.rows_RD)
    factor_B1 = factor(draws, anchor_BD)
    value_B, slope_B = (torch.stack(sums).sum(dim=0).mul_(factor_B1.squeeze(1)) for sums in (value_SB, slope_SB))
    return value_B, slope_B, slope_BD.mul_(factor_B1)


def _summed(value_BR: Tensor, weight_BR: Tensor | None) -> Tensor:
    """The sum over the rows, (B,), of values that are weighted in place."""
    return (value_BR if weight_BR is None else value_BR.mul_(weight_BR)).sum(dim=1)


def _of_picks(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, log_noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value_B, slope_B = (torch.empty_like(anchor_BD[:, 0]) for _ in range(2))
    slope_BD = torch.empty_like(anchor_BD)
    for some, table_MD, row_BK in picks(rows_MD, draws, anchor_BD):
        odds_BK = picked_scores(anchor_BD[some], table_MD, row_BK).sub_(log_noise)
        loss_BK, share_BK = softplus(odds_BK, threshold=_LINEAR), odds_BK.sigmoid()
        if draws.weight_BR is not None:
            weight_BK = draws.weight_BR[some].to(anchor_BD.dtype)
            loss_BK.mul_(weight_BK)
            share_BK.mul_(weight_BK)
        value_B[some], slope_B[some] = loss_BK.sum(dim=1), share_BK.sum(dim=1)
        slope_BD[some] = weighted_sums(share_BK, table_MD, row_BK)
    return value_B, slope_B, slope_BD
