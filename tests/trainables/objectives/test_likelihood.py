"""The likelihood is its equation."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given

from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper
from trainables.objectives.likelihood import Likelihood


@few
@given(case=cases())
def test_equation(case: Case) -> None:
    assert_equation(Likelihood().build(), case.contrast(), lambda c, _: sum(nll for nll in c.nll_B) / len(c.nll_B))


def test_is_the_mean_with_the_same_gradient_for_each_sample() -> None:
    nll_B = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).requires_grad_()
    same = directions(0.0, 0.0, 0.0)
    loss = Likelihood().build()(replace(on_paper(same, same, same), nll_B=nll_B), WORLD)
    assert loss.item() == pytest.approx(3)
    assert torch.autograd.grad(loss, nll_B)[0].tolist() == pytest.approx([1 / 3] * 3)


def test_needs_no_heads_and_no_memory() -> None:
    objective = Likelihood()
    assert (objective.reads, objective.sides, objective.draws) == (frozenset({"likelihood"}), 0, False)
    assert not objective.trains_teacher_head
