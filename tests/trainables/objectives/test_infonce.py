"""InfoNCE is its equation, between networks and between views, with whatever negatives."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import infonce as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper, value
from trainables.objectives.infonce import InfoNCE

Positive = Literal["current", "memory", "view"]
POSITIVES: tuple[Positive, ...] = ("current", "memory", "view")
temperatures = st.floats(0.05, 2)


@few
@given(case=cases(), temperature=temperatures, symmetric=st.booleans())
def test_between_networks(case: Case, temperature: float, symmetric: bool) -> None:
    objective = InfoNCE(temperature=temperature, symmetric=symmetric).build()
    assert_equation(objective, case.contrast(), lambda c, _: slow.infonce(c, temperature * case.factor, symmetric))


@few
@given(case=cases(), temperature=temperatures, symmetric=st.booleans())
def test_with_positives_from_memory(case: Case, temperature: float, symmetric: bool) -> None:
    objective = InfoNCE(temperature=temperature, symmetric=symmetric, positive="memory").build()
    expected = slow.infonce_of_memory
    assert_equation(objective, case.contrast(), lambda c, _: expected(c, temperature * case.factor, symmetric))


@few
@given(case=cases(), temperature=temperatures, symmetric=st.booleans())
def test_between_views(case: Case, temperature: float, symmetric: bool) -> None:
    objective = InfoNCE(temperature=temperature, symmetric=symmetric, positive="view").build()
    expected = slow.infonce_of_views
    assert_equation(objective, case.contrast(), lambda c, _: expected(c, temperature * case.factor, symmetric))


@few
@given(case=cases(prior=st.sampled_from([0.05, 0.3])), temperature=st.floats(0.1, 2))  # a difference in float32
def test_without_false_negatives(case: Case, temperature: float) -> None:
    objective = InfoNCE(temperature=temperature).build()
    assert_equation(objective, case.contrast(), lambda c, _: slow.infonce(c, temperature * case.factor))


@pytest.mark.parametrize("negatives", [1, 7, 64])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("prior", [0.0, 0.25])
def test_all_similarities_equal(negatives: int, temperature: float, prior: float) -> None:
    same = directions(0.3, 0.3)
    batch = on_paper(same, same, same[:1], negatives, second_student_BD=same)
    batch = replace(batch, draws=replace(batch.draws, sharpness=2.0, prior=prior))
    for positive in ("current", "memory", "view"):
        found = value(InfoNCE(temperature=temperature, positive=positive), batch)
        assert found == pytest.approx(math.log(1 + negatives), rel=1e-12)


def test_a_perfect_positive_against_an_orthogonal_negative() -> None:
    same = directions(0.0)
    batch = on_paper(same, same, directions(math.pi / 2), 3)
    assert value(InfoNCE(temperature=0.5), batch) == pytest.approx(math.log(1 + 3 * math.exp(-2)), rel=1e-12)
    # debiased by a prior of a half, the sum would be negative: the least that K negatives can have is K exp(-1/T)
    debiased = replace(batch, draws=replace(batch.draws, prior=0.5))
    assert value(InfoNCE(temperature=0.5), debiased) == pytest.approx(math.log(1 + 3 * math.exp(-4)), rel=1e-12)


def test_the_gradient_pulls_by_what_the_positive_lacks() -> None:
    student, teacher, row = directions(0.2).requires_grad_(), directions(0.9), directions(2.0)
    loss = InfoNCE(temperature=0.5, symmetric=False).build()(on_paper(student, teacher, row, 3), WORLD)
    (gradient,) = torch.autograd.grad(loss, student)
    scores = torch.tensor([math.cos(0.7), *[math.cos(1.8)] * 3]).double() / 0.5
    lacks = 1 - torch.softmax(scores, dim=0)[0]
    torch.testing.assert_close(gradient, lacks * (row - teacher) / 0.5, rtol=1e-6, atol=0)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("positive", POSITIVES)
def test_without_sharpness_and_prior_a_hard_sampler_changes_no_bit(symmetric: bool, positive: Positive) -> None:
    case = Case(4, 5, 8, 6, 3, False, "uniform", "exact", 0.0, 0.0, 1.0, torch.float32, 5)
    objective, contrast = InfoNCE(symmetric=symmetric, positive=positive).build(), case.contrast()
    hard = replace(contrast, draws=replace(contrast.draws, sharpness=0.0 * 3.0, prior=0.0))
    assert torch.equal(objective(hard, WORLD), objective(contrast, WORLD))
    almost = replace(contrast, draws=replace(contrast.draws, sharpness=1e-9, prior=1e-9))
    torch.testing.assert_close(objective(almost, WORLD), objective(contrast, WORLD), rtol=1e-6, atol=0)


def test_finite_where_the_exponential_of_a_similarity_is_not() -> None:
    student, teacher = directions(0.0, 1.0).requires_grad_(), directions(1.0, 0.9).requires_grad_()
    contrast = on_paper(student.float(), teacher.float(), directions(1.0, 3.0).float(), 4)
    for draws in (replace(contrast.draws, sharpness=2.0), replace(contrast.draws, sharpness=2.0, prior=0.3)):
        loss = InfoNCE(temperature=1e-3).build()(replace(contrast, draws=draws), WORLD)
        gradients = torch.autograd.grad(loss, [student, teacher])
        assert math.isfinite(loss.item())
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_declares_what_each_mode_reads() -> None:
    by = {mode: InfoNCE(positive=mode) for mode in POSITIVES}
    assert by["current"].reads == by["memory"].reads == {"embeddings"}
    assert by["view"].reads == {"embeddings", "second_view"}
    assert [by[mode].sides for mode in by] == [2, 2, 1]
    assert [InfoNCE(positive=mode, symmetric=False).sides for mode in by] == [1, 1, 1]
    assert [by[mode].trains_teacher_head for mode in by] == [True, True, False]
    assert not InfoNCE(positive="memory", symmetric=False).trains_teacher_head
