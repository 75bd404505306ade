"""The kernels are their sums, value and gradient, in every form that they take, at sizes of several blocks."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from tests.trainables.trials import unit_rows
from trainables.draws import Draws
from trainables.kernels.blocks import blocks, one_by_one
from trainables.kernels.log_sum_exp import log_sum_exp
from trainables.kernels.nce import noise_surprisal

B, D, M = 80, 6, 15_000
SCALE = 1 / 0.07
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def draws_of(form: str, weighted: bool, count: int) -> Draws:
    """Draws in each form; some rows are no negatives of some anchors, and one anchor has none at all."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.rand(B, 1 if form in ("shared", "full") else count, generator=generator, dtype=torch.float64) + 0.5
    if form in ("picks", "counts"):
        row_BK = torch.randint(M, (B, count), generator=generator)
        return Draws(count, M, row_BK, weight if weighted else None)
    held = count if form == "shared" else M
    never_BR = torch.rand(B, held, generator=generator) < 0.2
    never_BR[3] = True
    row_BR = torch.randint(M, (1, count), generator=generator) if form == "shared" else None
    if weighted and form == "full":
        weight = torch.rand(B, M, generator=generator, dtype=torch.float64)
    return Draws(count, M, row_BR, weight if weighted else None, never_BR)


#: The number of negatives decides between picking rows and counting them.
FORMS = [("picks", 300), ("counts", 4000), ("shared", 14_000), ("full", 700)]
each_form = pytest.mark.parametrize(
    ("draws", "picked"),
    [(draws_of(form, weighted, count), form == "picks") for form, count in FORMS for weighted in (False, True)],
    ids=[f"{form}-{'weighted' if weighted else 'plain'}" for form, _ in FORMS for weighted in (False, True)],
)
each_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def dense(draws: Draws) -> Tensor:
    """How often each row counts for each anchor, (B, M), as a loop over pairs adds it up."""
    weight_BM = torch.zeros(B, M, dtype=torch.float64)
    for b in range(B):
        row_R = torch.arange(M) if draws.row_BR is None else draws.row_BR[b if len(draws.row_BR) > 1 else 0]
        weight_R = torch.ones(len(row_R), dtype=torch.float64)
        if draws.weight_BR is not None:
            weight_R = weight_R * draws.weight_BR[b]
        if draws.never_BR is not None:
            weight_R = weight_R.masked_fill(draws.never_BR[b], 0)
        weight_BM[b].index_add_(0, row_R, weight_R)
    return weight_BM


def slow(kernel: Any, anchor_BD: Tensor, rows_MD: Tensor, weight_BM: Tensor, log_noise: Tensor) -> Tensor:
    score_BM = SCALE * anchor_BD @ rows_MD.T
    if kernel is noise_surprisal:
        return (weight_BM * softplus(score_BM - log_noise, threshold=50)).sum(dim=1)
    some_B1 = weight_BM.sum(dim=1, keepdim=True) > 0  # the others are not looked at
    return (score_BM + torch.where(some_B1, weight_BM, 1).log()).logsumexp(dim=1)


def fast(kernel: Any, anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, log_noise: Tensor) -> Tensor:
    found: Tensor = (
        kernel(anchor_BD, rows_MD, draws, SCALE, log_noise)
        if kernel is noise_surprisal
        else kernel(anchor_BD, rows_MD, draws, SCALE)
    )
    return found


def assert_equal(kernel: Any, rows_MD: Tensor, draws: Draws, dtype: torch.dtype, tolerance: float) -> None:
    anchor_BD = unit_rows(B, D, 2, dtype).requires_grad_()
    log_noise = torch.tensor(3.5, dtype=dtype).requires_grad_()
    exact = [anchor_BD.detach().double().requires_grad_(), log_noise.detach().double().requires_grad_()]
    upstream_B = torch.linspace(-1, 2, B, dtype=torch.float64)
    some_B = dense(draws).sum(dim=1) > 0
    found_B = fast(kernel, anchor_BD, rows_MD, draws, log_noise)
    wanted_B = slow(kernel, exact[0], rows_MD.double(), dense(draws), exact[1])
    assert found_B.dtype == dtype
    assert torch.equal(found_B.isfinite(), some_B | torch.tensor(kernel is noise_surprisal))
    difference_B = (found_B.double() - wanted_B)[some_B]
    assert difference_B.norm() <= tolerance * wanted_B[some_B].norm()
    found = torch.autograd.grad(
        (found_B.double() * upstream_B)[some_B].sum(), [anchor_BD, log_noise], materialize_grads=True
    )
    wanted = torch.autograd.grad((wanted_B * upstream_B)[some_B].sum(), exact, materialize_grads=True)
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.double() - theirs).norm() <= tolerance * theirs.norm()


@each_form
@each_dtype
@pytest.mark.parametrize("kernel", [noise_surprisal, log_sum_exp])
def test_value_and_gradient_are_those_of_the_sum(kernel: Any, draws: Draws, picked: bool, dtype: torch.dtype) -> None:
    assert one_by_one(draws) == picked
    if draws.shared:
        assert len(list(blocks(unit_rows(M, D, 3), draws, unit_rows(B, D, 2)))) > 2
    assert_equal(kernel, unit_rows(M, D, 3, dtype), draws, dtype, TOLERANCE[dtype])


@each_form
@pytest.mark.parametrize("kernel", [noise_surprisal, log_sum_exp])
def test_rows_in_bfloat16_are_what_they_hold(kernel: Any, draws: Draws, picked: bool) -> None:  # noqa: ARG001
    """No more digits are lost than in storing them."""
    assert_equal(kernel, unit_rows(M, D, 3).to(torch.bfloat16), draws, torch.float32, TOLERANCE[torch.float32])


def test_scores_far_from_zero_keep_their_digits_and_do_not_overflow() -> None:
    rows_MD = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    anchor_BD = torch.tensor([[60.0, 0.0], [-800.0, 0.0]], dtype=torch.float64).requires_grad_()
    none = torch.zeros((), dtype=torch.float64)
    value_B = noise_surprisal(anchor_BD, rows_MD, Draws(2, 2), 1.0, none)
    expected = [60 + 2 * torch.tensor(-60.0).double().exp().item(), 800.0]
    assert value_B.tolist() == pytest.approx(expected, rel=1e-15)
    assert log_sum_exp(anchor_BD, rows_MD, Draws(2, 2), 1.0).tolist() == pytest.approx([60.0, 800.0], rel=1e-15)


def test_negatives_do_not_vanish_beside_a_row_that_nobody_drew() -> None:
    """The anchor's own row, mostly: by far the most similar, and never a negative."""
    rows_MD = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    anchor_BD = torch.tensor([[1.0, 0.0]])
    draws = Draws(4, 2, torch.ones(1, 4, dtype=torch.long))
    assert not one_by_one(draws)
    found_B = log_sum_exp(anchor_BD, rows_MD, draws, 200.0)
    assert found_B.item() == pytest.approx(-200 + math.log(4), rel=1e-6)


def test_an_anchor_without_negatives_adds_nothing_and_has_no_gradient() -> None:
    never_BR = torch.ones(B, M, dtype=torch.bool)
    draws = Draws(5, M, weight_BR=torch.ones(B, 1), never_BR=never_BR)
    anchor_BD = unit_rows(B, D, 2).requires_grad_()
    rows_MD = unit_rows(M, D, 3)
    assert (log_sum_exp(anchor_BD, rows_MD, draws, SCALE) == -torch.inf).all()
    value_B = noise_surprisal(anchor_BD, rows_MD, draws, SCALE, torch.tensor(0.0))
    (gradient,) = torch.autograd.grad(value_B.sum(), anchor_BD)
    assert not value_B.any()
    assert not gradient.any()


def test_a_second_derivative_is_refused() -> None:
    anchor_BD = unit_rows(B, D, 2).requires_grad_()
    value_B = log_sum_exp(anchor_BD, unit_rows(M, D, 3), Draws(M, M), SCALE)
    (gradient,) = torch.autograd.grad(value_B.square().sum(), anchor_BD, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


def test_draws_of_their_own_count_as_often_as_they_came() -> None:
    draws = draws_of("counts", weighted=True, count=4000)
    counted = draws.counted
    assert counted is draws.counted
    assert counted.row_BR is None
    assert counted.weight_BR is not None
    torch.testing.assert_close(counted.weight_BR, dense(draws))
    unweighted = replace(draws, weight_BR=None)
    assert unweighted.counted.weight_BR is not None
    assert torch.equal(unweighted.counted.weight_BR, dense(unweighted).float())
