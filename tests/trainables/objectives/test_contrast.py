"""Weights of drawn negatives, and what is left of them without false ones."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.trainables.objectives.cases import WORLD, Case
from trainables.draws import Draws
from trainables.objectives.cacr import CACR
from trainables.objectives.contrast import (
    contrast_operation,
    log_importance,
    log_negatives,
    log_weights,
    rows_operation,
    surprisal,
    without_false,
)
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.pcl import PCL
from trainables.protocols import Shapes

ROW = torch.arange(2).unsqueeze(0)
PLAIN = Draws(2, 2, ROW)
SKEWED = Draws(2, 2, ROW, weight_BR=torch.tensor([[0.4, 2.0]], dtype=torch.float64))
ANCHOR = torch.ones(1, 1, dtype=torch.float64)


def rows_of(*scores: float) -> torch.Tensor:
    """Rows that have these scores with the only anchor."""
    return torch.tensor(scores, dtype=torch.float64).unsqueeze(1)


def test_importance_is_nothing_without_weights_and_their_logarithm_with_them() -> None:
    assert torch.equal(log_importance(PLAIN, ANCHOR), torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(log_importance(SKEWED, ANCHOR).exp(), SKEWED.weight_BR, rtol=1e-14, atol=0)
    never = replace(SKEWED, never_BR=torch.tensor([[True, False]]))
    assert log_importance(never, ANCHOR)[0, 0] == -math.inf


@pytest.mark.parametrize("draws", [PLAIN, SKEWED])
def test_a_tilt_moves_weight_and_leaves_its_sum(draws: Draws) -> None:
    score_BK = torch.tensor([[0.3, -1.1]], dtype=torch.float64)
    tilted = replace(draws, sharpness=1.5)
    weight_BK, plain_BK = log_weights(tilted, score_BK).exp(), log_weights(draws, score_BK).exp()
    assert weight_BK.sum().item() == pytest.approx(plain_BK.sum().item(), rel=1e-6)
    ratio = (weight_BK / plain_BK)[0]
    assert (ratio[0] / ratio[1]).item() == pytest.approx(math.exp(1.5 * 1.4), rel=1e-6)


def test_gradient_flows_through_the_tilt() -> None:
    score_BK = torch.tensor([[0.3, -1.1]], dtype=torch.float64).requires_grad_()
    tilted = replace(PLAIN, sharpness=1.0)
    (gradient,) = torch.autograd.grad(log_weights(tilted, score_BK)[0, 0], score_BK)
    share = torch.softmax(score_BK.detach(), dim=1)[0]  # d log w_0 / d s_j = [j = 0] - share_j
    torch.testing.assert_close(gradient[0], torch.tensor([1.0, 0.0]).double() - share, rtol=1e-12, atol=0)


def with_prior(prior: float) -> Draws:
    return replace(PLAIN, prior=prior)


def test_false_negatives_are_taken_out_of_the_sum() -> None:
    positive_B = torch.tensor([0.2], dtype=torch.float64)
    found = log_negatives(ANCHOR, rows_of(1.0, 2.0), with_prior(0.1), 1.0, positive_B, -10.0).exp().item()
    expected = (math.exp(1) + math.exp(2) - 0.1 * 2 * math.exp(0.2)) / 0.9
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("positive", [3.0, 1000.0])
def test_what_is_left_is_never_below_the_floor_and_has_a_finite_gradient_there(positive: float) -> None:
    positive_B = torch.tensor([positive], dtype=torch.float64).requires_grad_()
    anchor = ANCHOR.clone().requires_grad_()
    found_B = log_negatives(anchor, rows_of(-1.0, -2.0), with_prior(0.5), 1.0, positive_B, -7.5)
    assert found_B.item() == -7.5
    gradients = torch.autograd.grad(found_B.sum(), [positive_B, anchor])
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


def test_false_losses_are_taken_out_down_to_zero() -> None:
    total_B, false_B = torch.tensor([4.0, 0.5]), torch.tensor([2.0, 2.0])
    assert without_false(with_prior(0.5), total_B, false_B).tolist() == [6.0, 0.0]
    assert without_false(PLAIN, total_B, false_B) is total_B


def test_a_surprisal_keeps_its_digits_where_a_probability_is_near_one() -> None:
    score_BA = torch.tensor([[50.0, 0.0, -math.inf]], dtype=torch.float64)
    found = surprisal(score_BA)[0]
    assert found[0].item() == pytest.approx(math.exp(-50), rel=1e-14)
    assert found[1].item() == pytest.approx(50, rel=1e-14)
    assert found[2].item() == math.inf


def test_nominal_operations_count_products_and_bytes() -> None:
    shapes = Shapes(batch=2, width=3, negatives=4, rows=7, classes=5, samples=11)
    drawn = contrast_operation(shapes, sides=2)
    assert drawn.flops == 2 * 2 * (2 * 2 * 5 * 3)  # sides, forward and backward, multiply-adds of 10 pairs of width 3
    assert drawn.bytes == 2 * (7 * 3 * 4 + 10 * 12)
    assert contrast_operation(shapes, sides=2, positives=2).flops == 2 * 2 * (2 * 2 * 6 * 3)
    shared, full = (contrast_operation(replace(shapes, mode=mode), sides=2) for mode in ("shared", "full"))
    assert (shared.flops, shared.bytes) == (drawn.flops, 2 * ((2 + 4) * 3 * 4 + 10 * 4 + (2 + 4) * 8))
    assert (full.flops, full.bytes) == (2 * 2 * (2 * 2 * 8 * 3), 2 * (7 * 3 * 4 + 16 * 4 + 2 * 8))
    rows = rows_operation(shapes, sides=1, frozen=1)
    assert rows.flops == 3 * (2 * 2 * 8 * 3)  # the frozen product has no backward
    assert rows.bytes == 2 * (7 * 3 + 16) * 4


@pytest.mark.parametrize("sharpness", [0.0, 1.0])
@pytest.mark.parametrize("objective", [CRD, InfoNCE, CACR, PCL])
def test_an_anchor_without_negatives_among_shared_draws_has_a_finite_loss(objective: Any, sharpness: float) -> None:
    case = Case(4, 5, 8, 3, 3, True, "uniform", "shared", sharpness, 0.0, 1.0, torch.float32, 5)
    contrast = case.contrast()
    contrast = replace(contrast, rows=replace(contrast.rows, concentration_M=torch.full((8,), 0.2)))
    never_BR = contrast.draws.never_BR
    assert never_BR is not None
    never_BR[1] = True
    loss = objective().build()(contrast, WORLD)
    gradients = torch.autograd.grad(loss, [contrast.student_BD, contrast.teacher_BD])
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
