"""DKD is its equation."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import logits as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, few, logits_on_paper, value
from trainables.objectives.dkd import DKD
from trainables.objectives.kd import KD


@few
@given(case=cases(), temperature=st.floats(0.5, 10), alpha=st.floats(0.5, 3), beta=st.floats(0, 8))
def test_equation(case: Case, temperature: float, alpha: float, beta: float) -> None:
    objective = DKD(temperature=temperature, alpha=alpha, beta=beta).build()
    assert_equation(objective, case.contrast(), lambda c, _: slow.dkd(c, temperature * case.factor, alpha, beta))


def logits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(1, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    return student, teacher, torch.tensor([2])


def test_kd_is_dkd_with_the_second_part_weighed_by_the_teachers_doubt() -> None:
    """Zhao et al. 2022, eq. 6: KD = TCKD + (1 - p_t) NCKD, p_t the teacher's probability of the true class."""
    student, teacher, label_B = logits()
    doubt = 1 - torch.softmax(teacher / 4, dim=1)[0, 2].item()
    found = value(DKD(temperature=4.0, alpha=1.0, beta=doubt), logits_on_paper(student, teacher, label_B))
    assert found == pytest.approx(value(KD(temperature=4.0), logits_on_paper(student, teacher)), rel=1e-12)


def test_zero_with_zero_gradient_for_equal_probabilities() -> None:
    _, teacher, label_B = logits()
    equal = teacher.clone().requires_grad_()
    loss = DKD().build()(logits_on_paper(equal, teacher + 7, label_B), WORLD)
    assert loss.item() == pytest.approx(0, abs=1e-13)
    assert torch.autograd.grad(loss, equal)[0].abs().max().item() < 1e-14


def test_a_uniform_teacher() -> None:
    teacher = torch.zeros(1, 4, dtype=torch.float64)
    student = torch.tensor([[math.log(3), 0.0, 0.0, 0.0]], dtype=torch.float64)  # one half, and one sixth three times
    contrast = logits_on_paper(student, teacher, torch.tensor([0]))
    target = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert value(DKD(temperature=1.0, alpha=2.0, beta=8.0), contrast) == pytest.approx(2 * target, rel=1e-12)


def test_of_two_classes_only_the_first_part_is_left() -> None:
    student, teacher, label_B = (
        torch.tensor([[1.0, -2.0]]).double(),
        torch.tensor([[0.3, 0.1]]).double(),
        torch.tensor([0]),
    )
    both, first = (value(DKD(beta=beta), logits_on_paper(student, teacher, label_B)) for beta in (8.0, 0.0))
    assert both == first
    assert first > 0


def test_uses_labels_and_no_memory() -> None:
    assert DKD().reads == {"logits"}
    assert (DKD().sides, DKD().uses_labels, DKD().trains_teacher_head) == (0, True, False)
