"""The baseline of the benchmarks trains the same loss as the product, so that ratios compare like with like."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.materialised_crd import AliasSampler, MaterialisedCRD

B, K, D, N, T = 4, 9, 8, 20, 0.2
SAMPLES = torch.tensor([3, 0, 7, 11])


def materialised() -> tuple[MaterialisedCRD, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    loss = MaterialisedCRD(N, width=D, negatives=K, temperature=T, generator=generator).double()
    student_BD, teacher_BD = (
        normalize(torch.randn(B, D, generator=generator, dtype=torch.float64), dim=1).requires_grad_() for _ in "st"
    )
    return loss, student_BD, teacher_BD, loss.draw(SAMPLES)


def by_hand(anchor_BD: Tensor, bank_ND: Tensor, contrast_idx: Tensor) -> Tensor:
    """The equation, pair by pair, without the release's epsilon."""
    scores: dict[Any, Tensor] = {
        (b, j): torch.exp(anchor_BD[b] @ bank_ND[row] / T)
        for b, rows in enumerate(contrast_idx.tolist())
        for j, row in enumerate(rows)
    }
    normaliser = N * math.fsum(score.item() for score in scores.values()) / len(scores)
    total = torch.zeros((), dtype=torch.float64)
    for (_, j), score in scores.items():
        odds = score / normaliser
        share = odds / (odds + K / N) if j == 0 else (K / N) / (odds + K / N)
        total = total - share.log()
    return total / len(anchor_BD)


def test_loss_and_gradient_are_those_of_the_equation() -> None:
    loss, student_BD, teacher_BD, contrast_idx = materialised()
    expected = by_hand(student_BD, loss.teacher_ND.clone(), contrast_idx)
    expected = expected + by_hand(teacher_BD, loss.student_ND.clone(), contrast_idx)
    wanted = torch.autograd.grad(expected, [student_BD, teacher_BD])
    value = loss(student_BD, teacher_BD, SAMPLES, contrast_idx)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(torch.autograd.grad(value, [student_BD, teacher_BD]), wanted, rtol=1e-5, atol=1e-7)


def test_the_normaliser_is_that_of_the_first_batch_and_both_banks_move() -> None:
    loss, student_BD, teacher_BD, contrast_idx = materialised()
    before = SimpleNamespace(student=loss.student_ND.clone(), teacher=loss.teacher_ND.clone())
    loss(student_BD, teacher_BD, SAMPLES, contrast_idx)
    first = loss.normaliser_2.clone()
    moved = normalize(before.student[SAMPLES] / 2 + student_BD.detach() / 2, dim=1)
    torch.testing.assert_close(loss.student_ND[SAMPLES], moved)
    untouched = [row for row in range(N) if row not in SAMPLES.tolist()]
    assert torch.equal(loss.teacher_ND[untouched], before.teacher[untouched])
    assert not torch.equal(loss.teacher_ND[SAMPLES], before.teacher[SAMPLES])
    loss(teacher_BD, student_BD, SAMPLES, contrast_idx)
    assert torch.equal(loss.normaliser_2, first)


def test_a_draw_puts_the_anchor_first() -> None:
    loss, _, _, contrast_idx = materialised()
    assert contrast_idx.shape == (B, K + 1)
    assert torch.equal(contrast_idx[:, 0], SAMPLES)
    assert contrast_idx.min() >= 0
    assert contrast_idx.max() < len(loss.student_ND)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [5.0, 1.0, 0.0, 2.0]])
def test_the_alias_method_draws_in_proportion(weights: list[float]) -> None:
    draws = 200_000
    sampler = AliasSampler(torch.tensor(weights))
    drawn = sampler.draw(draws, torch.Generator().manual_seed(1)).bincount(minlength=len(weights)) / draws
    wanted = torch.tensor(weights) / sum(weights)
    assert (drawn - wanted).abs().max() < 4 * math.sqrt(0.25 / draws)
