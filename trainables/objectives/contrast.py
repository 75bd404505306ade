"""Similarities of anchors to what they are contrasted with, shared by the objectives that embed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.protocols import Contrast, Draws, Operation, Shapes

BYTES_PER_VALUE = 4  # float32
BYTES_PER_INDEX = 8


@dataclass(frozen=True)
class Side:
    """Anchors of one network, and what the other one holds against them.

    `own_BD` is the other network's current embedding of the same samples, `positive_BD` the memory's.
    """

    anchor_BD: Tensor
    own_BD: Tensor
    positive_BD: Tensor
    rows_MD: Tensor


def both_sides(contrast: Contrast) -> tuple[Side, Side]:
    """Student anchors against the teacher's half of the memory, and teacher anchors against the student's."""
    student_BD, teacher_BD, rows = contrast.student_BD, contrast.teacher_BD, contrast.rows
    return (
        Side(student_BD, teacher_BD, contrast.positive_teacher_BD, rows.teacher_MD),
        Side(teacher_BD, student_BD, contrast.positive_student_BD, rows.student_MD),
    )


def positive_scores(anchor_BD: Tensor, positive_BD: Tensor) -> Tensor:
    """Inner product of each anchor with its positive, (B,)."""
    return (anchor_BD * positive_BD).sum(dim=1)


def negative_scores(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws) -> Tensor:
    """Inner product of each anchor with the K rows drawn for it, (B, K).

    All M products are made and the drawn ones picked: for the memories of small tasks one matrix product is faster than
    a gather of B x K rows, and nothing of size B x K x D is ever stored.
    """
    return (anchor_BD @ rows_MD.T).gather(1, draws.row_BK)


def row_scores(contrast: Contrast, anchor_BD: Tensor, rows_MD: Tensor, temperature: float | Tensor) -> Tensor:
    """Inner product over temperature of each anchor with every row, (B, M); for rows of its own key the lowest number.

    In double precision from here on: a divergence is a small difference of large numbers.
    """
    score_BM = (anchor_BD @ rows_MD.T).double() / temperature
    own_BM = contrast.key_B.unsqueeze(1) == contrast.rows.key_M
    return score_BM.masked_fill(own_BM, torch.finfo(score_BM.dtype).min)


def own_and_row_scores(
    contrast: Contrast, anchor_BD: Tensor, own_BD: Tensor, rows_MD: Tensor, temperature: float | Tensor
) -> Tensor:
    """The anchor's own positive, then every row as in `row_scores`, (B, 1 + M)."""
    own_B1 = positive_scores(anchor_BD, own_BD).double().unsqueeze(1) / temperature
    return torch.cat([own_B1, row_scores(contrast, anchor_BD, rows_MD, temperature)], dim=1)


def surprisal(score_BA: Tensor) -> Tensor:
    """-log softmax over dimension 1, with all its digits also where a probability is near one; (B, A)."""
    largest = score_BA.max(dim=1, keepdim=True)
    # The largest is nothing behind itself, also for the gradient, where 1 - 1 would leave the rounding of the others.
    behind_BA = (largest.values - score_BA).scatter(1, largest.indices, 0)
    others_BA = behind_BA.neg().exp().scatter(1, largest.indices, 0)
    return behind_BA + others_BA.sum(dim=1, keepdim=True).log1p()


def divergence(target_surprisal_BA: Tensor, surprisal_BA: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the target to the other distribution, mean over the batch."""
    return (target_surprisal_BA.neg().exp() * (surprisal_BA - target_surprisal_BA)).sum(dim=1).mean()


def log_importance(draws: Draws) -> Tensor:
    """log of (uniform over the candidates / proposal) for each draw, (B, K): zero for a uniform sampler.

    Weighted so, a sum over draws is an unbiased estimate of the sum under uniform sampling. Draws that are wanted as
    they came weigh 1.
    """
    if not draws.weighted:
        return torch.zeros_like(draws.logq_BK)
    return -draws.logq_BK - draws.candidates_B.to(draws.logq_BK.dtype).log().unsqueeze(1)


def log_weights(draws: Draws, score_BK: Tensor) -> Tensor:
    """log of how often each drawn negative counts, (B, K); `score_BK` is similarity over temperature.

    Importance, times the tilt ``exp(sharpness * score)`` over its mean (Robinson et al. 2021, arXiv 2010.04592).
    The mean is that over untilted draws, estimated from the same ones; gradient flows through it as in the paper.
    """
    importance_BK = log_importance(draws)
    if draws.sharpness == 0:
        return importance_BK
    tilted_BK = importance_BK + draws.sharpness * score_BK
    log_mean_B1 = tilted_BK.logsumexp(dim=1, keepdim=True) - importance_BK.logsumexp(dim=1, keepdim=True)
    return tilted_BK - log_mean_B1


def log_negatives(draws: Draws, positive_B: Tensor, score_BK: Tensor, log_floor: float | Tensor) -> Tensor:
    """log of the sum over the negatives of exp(score), (B,): weighted, and without the share of false ones.

    ``max((sum - prior * K * exp(positive)) / (1 - prior), floor)`` (Chuang et al. 2020, arXiv 2007.00224).
    """
    log_sum_B = (score_BK + log_weights(draws, score_BK)).logsumexp(dim=1)
    if draws.prior == 0:
        return log_sum_B
    log_false_B = positive_B + math.log(draws.prior * score_BK.shape[1])
    kept_B = -torch.expm1((log_false_B - log_sum_B).clamp_max(0))
    some_B = kept_B > 0
    log_kept_B = log_sum_B + torch.where(some_B, kept_B, 1).log() - math.log1p(-draws.prior)
    floor_B = torch.as_tensor(log_floor, dtype=log_sum_B.dtype, device=log_sum_B.device).expand_as(log_sum_B)
    return torch.where(some_B, log_kept_B, floor_B).maximum(floor_B)


def without_false(draws: Draws, total_B: Tensor, false_B: Tensor) -> Tensor:
    """What true negatives add up to, (B,): ``max((total - prior * false) / (1 - prior), 0)``.

    `false_B` is what the same statistic would be if every negative were the positive. Our transfer of Chuang et al.
    2020 to statistics other than exp(score), with the non-negative estimate of Kiryo et al. 2017 (arXiv 1703.00593).
    """
    if draws.prior == 0:
        return total_B
    return ((total_B - draws.prior * false_B) / (1 - draws.prior)).clamp_min(0)


def contrast_operation(shapes: Shapes, sides: int, positives: int = 1) -> Operation:
    """Nominal cost of B x (positives + K) inner products of width D and of their gradient with respect to the anchors.

    A row that several anchors need crosses the bus once, so at most all rows of the memory are read.
    """
    pairs = shapes.batch * (positives + shapes.negatives)
    rows_read = min(pairs, shapes.rows)
    return Operation(
        name="contrast",
        flops=sides * 2 * 2 * pairs * shapes.width,
        bytes=sides * (rows_read * shapes.width * BYTES_PER_VALUE + pairs * (BYTES_PER_VALUE + BYTES_PER_INDEX)),
    )


def rows_operation(shapes: Shapes, sides: int, frozen: int = 0, positives: int = 1) -> Operation:
    """Nominal cost of B x (positives + M) inner products with every row; `frozen` of them have no gradient to make."""
    pairs = shapes.batch * (positives + shapes.rows)
    return Operation(
        name="contrast_rows",
        flops=(2 * sides + frozen) * 2 * pairs * shapes.width,
        bytes=(sides + frozen) * (shapes.rows * shapes.width + pairs) * BYTES_PER_VALUE,
    )
