"""Cross-entropy is its equation."""

import math

import pytest
import torch
from hypothesis import given

from tests.references import logits as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, few, logits_on_paper, value
from trainables.objectives.cross_entropy import CrossEntropy


@few
@given(case=cases())
def test_equation(case: Case) -> None:
    assert_equation(CrossEntropy().build(), case.contrast(), lambda c, _: slow.cross_entropy(c))


def test_equal_logits_cost_the_log_of_the_classes() -> None:
    logits, label_B = torch.full((3, 7), 2.5).double(), torch.tensor([0, 3, 6])
    assert value(CrossEntropy(), logits_on_paper(logits, logits, label_B)) == pytest.approx(math.log(7), rel=1e-14)


def test_gradient_is_the_probabilities_less_the_label() -> None:
    student = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.5, 3.0]], dtype=torch.float64).requires_grad_()
    loss = CrossEntropy().build()(logits_on_paper(student, student.detach(), torch.tensor([0, 2])), WORLD)
    (gradient,) = torch.autograd.grad(loss, student)
    label_BC = torch.tensor([[1.0, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(gradient, (torch.softmax(student.detach(), 1) - label_BC) / 2, rtol=1e-14, atol=1e-16)


def test_uses_labels_and_no_memory() -> None:
    objective = CrossEntropy()
    assert objective.reads == {"logits"}
    assert (objective.sides, objective.uses_labels) == (0, True)
    assert not objective.trains_teacher_head
