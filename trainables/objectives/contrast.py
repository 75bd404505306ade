"""Similarities of anchors to what they are contrasted with, shared by the objectives that embed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.draws import Draws
from trainables.kernels.log_sum_exp import log_sum_exp
from trainables.protocols import Contrast, Operation, Shapes

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
    """Inner product of each anchor with the rows that it is held against, (B, R); minus infinity for no negatives.

    For statistics that no kernel sums up. For draws of their own all M products are made and the drawn ones picked:
    nothing of size B x K x D is ever stored.
    """
    rows_MD = rows_MD.to(anchor_BD.dtype)
    if draws.row_BR is not None and draws.shared:
        score_BR = anchor_BD @ rows_MD[draws.row_BR[0]].T
    else:
        score_BM = anchor_BD @ rows_MD.T
        score_BR = score_BM if draws.row_BR is None else score_BM.gather(1, draws.row_BR)
    return score_BR if draws.never_BR is None else score_BR.masked_fill(draws.never_BR, -math.inf)


def row_scores(contrast: Contrast, anchor_BD: Tensor, rows_MD: Tensor, temperature: float | Tensor) -> Tensor:
    """Inner product over temperature of each anchor with every row, (B, M); for rows of its own key the lowest number.

    In double precision from here on: a divergence is a small difference of large numbers.
    """
    score_BM = (anchor_BD @ rows_MD.to(anchor_BD.dtype).T).double() / temperature
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


def of_rows(value_M: Tensor, draws: Draws) -> Tensor:
    """A value of every row of the memory, for the rows that each anchor is held against: (B, R) or (1, R)."""
    return value_M.unsqueeze(0) if draws.row_BR is None else value_M[draws.row_BR]


def log_importance(draws: Draws, anchors: Tensor) -> Tensor:
    """log of how often each row counts, before any tilt, (B, R): minus infinity for rows that are no negatives."""
    shape = (len(anchors), draws.held)
    weight_BR = anchors.new_ones(1, 1) if draws.weight_BR is None else draws.weight_BR.to(anchors.dtype)
    log_weight_BR = weight_BR.log().expand(shape)
    return log_weight_BR if draws.never_BR is None else log_weight_BR.masked_fill(draws.never_BR, -math.inf)


def log_weights(draws: Draws, score_BR: Tensor) -> Tensor:
    """log of how often each negative counts, (B, R); `score_BR` is similarity over temperature.

    Importance, times the tilt ``exp(sharpness * score)`` over its mean (Robinson et al. 2021, arXiv 2010.04592).
    The mean is that over untilted draws, estimated from the same ones; gradient flows through it as in the paper.
    """
    importance_BR = log_importance(draws, score_BR)
    if draws.sharpness == 0:
        return importance_BR
    tilted_BR = importance_BR + draws.sharpness * score_BR
    none_B1 = importance_BR.isneginf().all(dim=1, keepdim=True)  # no negatives have no mean
    sums = [log_BR.masked_fill(none_B1, 0).logsumexp(dim=1, keepdim=True) for log_BR in (tilted_BR, importance_BR)]
    return tilted_BR - (sums[0] - sums[1])


def log_negatives(
    anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, scale: float, positive_B: Tensor, log_floor: float | Tensor
) -> Tensor:
    """log of the sum over the negatives of exp(scale * a.n), (B,): weighted, and without the share of false ones.

    ``max((sum - prior * K * exp(positive)) / (1 - prior), floor)`` (Chuang et al. 2020, arXiv 2007.00224). A tilt as
    in `log_weights` makes the sum one at another scale, over its mean.
    """
    log_sum_B = log_sum_exp(anchor_BD, rows_MD, draws, scale * (1 + draws.sharpness))
    if draws.sharpness:
        log_tilted_B = log_sum_exp(anchor_BD, rows_MD, draws, scale * draws.sharpness)
        log_total_B = log_importance(draws, anchor_BD).logsumexp(dim=1)
        log_sum_B = log_sum_B - torch.where(log_total_B.isneginf(), 0, log_tilted_B - log_total_B)
    if draws.prior == 0:
        return log_sum_B
    log_false_B = positive_B + math.log(draws.prior * draws.count)
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
    """Nominal cost of B x (positives + R) inner products of width D and of their gradient with respect to the anchors.

    R is K, or every row in `full` mode. A row that several anchors need crosses the bus once, so at most all rows of
    the memory are read; scores are written, and the indices of draws read.
    """
    full, shared = shapes.mode == "full", shapes.mode == "shared"
    pairs = shapes.batch * (positives + (shapes.rows if full else shapes.negatives))
    drawn = 0 if full else shapes.negatives if shared else shapes.batch * shapes.negatives
    rows_read = min(shapes.batch * positives + (shapes.rows if full else drawn), shapes.rows)
    indices = shapes.batch * positives + drawn
    return Operation(
        name="contrast",
        flops=sides * 2 * 2 * pairs * shapes.width,
        bytes=sides
        * (rows_read * shapes.width * shapes.row_bytes + pairs * BYTES_PER_VALUE + indices * BYTES_PER_INDEX),
    )


def rows_operation(shapes: Shapes, sides: int, frozen: int = 0, positives: int = 1) -> Operation:
    """Nominal cost of B x (positives + M) inner products with every row; `frozen` of them have no gradient to make."""
    pairs = shapes.batch * (positives + shapes.rows)
    return Operation(
        name="contrast_rows",
        flops=(2 * sides + frozen) * 2 * pairs * shapes.width,
        bytes=(sides + frozen) * (shapes.rows * shapes.width * shapes.row_bytes + pairs * BYTES_PER_VALUE),
    )
