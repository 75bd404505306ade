"""CACR is its equation."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import cacr as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper, value
from trainables.objectives.cacr import CACR


@few
@given(
    case=cases(prior=st.sampled_from([0.0, 0.2])),
    alpha=st.floats(0.5, 2),
    beta=st.floats(0, 2),
    t_positive=st.floats(0, 5),
    t_negative=st.floats(0, 5),
)
def test_equation(case: Case, alpha: float, beta: float, t_positive: float, t_negative: float) -> None:
    config = CACR(alpha=alpha, beta=beta, positive_temperature=t_positive, negative_temperature=t_negative)
    t = t_positive / case.factor, t_negative / case.factor
    assert_equation(config.build(), case.contrast(), lambda c, _: slow.cacr(c, alpha, beta, *t))


def test_zero_where_everything_is_the_same_point() -> None:
    same = directions(0.3, 0.3)
    assert value(CACR(), on_paper(same, same, same[:1], 3)) == pytest.approx(0, abs=1e-15)


def test_a_perfect_positive_against_orthogonal_negatives() -> None:
    same = directions(0.0)
    batch = on_paper(same, same, directions(math.pi / 2), 3)  # squared distances 0 and 2
    assert value(CACR(beta=0.7), batch) == pytest.approx(-0.7 * 2, rel=1e-12)
    debiased = replace(batch, draws=replace(batch.draws, prior=0.2))
    assert value(CACR(beta=0.7), debiased) == pytest.approx(-0.7 * 2 / 0.8, rel=1e-12)


def test_far_positives_and_near_negatives_count_for_more() -> None:
    anchor, far = directions(0.0), directions(math.pi)  # squared distances 0 and 4
    batch = replace(
        on_paper(anchor, anchor, torch.cat([anchor, far]), 2), positive_student_BD=far, positive_teacher_BD=far
    )
    attraction = 4 * math.exp(0.5 * 4) / (1 + math.exp(0.5 * 4))
    repulsion = 4 * math.exp(-0.9 * 4) / (1 + math.exp(-0.9 * 4))
    assert value(CACR(positive_temperature=0.5), batch) == pytest.approx(attraction - repulsion, rel=1e-12)


def test_gradient_flows_through_the_weights() -> None:
    student, rows = directions(0.0).requires_grad_(), directions(1.0, 2.5)
    loss = CACR(alpha=0.0, negative_temperature=0.9).build()(on_paper(student, student.detach(), rows, 2), WORLD)
    distance = 2 - 2 * torch.tensor([math.cos(1.0), math.cos(2.5)]).double()
    weight = torch.softmax(-0.9 * distance, dim=0)
    # d/dd_j sum_k w_k d_k = w_j (1 - t (d_j - mean d)), and d d_j / d anchor = 2 (anchor - row)
    outer = weight * (1 - 0.9 * (distance - (weight * distance).sum()))
    expected = -(outer.unsqueeze(1) * 2 * (student.detach() - rows)).sum(dim=0) / 2  # of two directions, one
    torch.testing.assert_close(torch.autograd.grad(loss, student)[0][0], expected, rtol=1e-6, atol=1e-9)


def test_draws_against_both_halves() -> None:
    assert (CACR().sides, CACR().draws) == (2, True)
    assert CACR().reads == {"embeddings"}
