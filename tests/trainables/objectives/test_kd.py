"""KD is its equation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import logits as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, few, logits_on_paper, value
from trainables.objectives.kd import KD


@few
@given(case=cases(), temperature=st.floats(0.5, 10))
def test_equation(case: Case, temperature: float) -> None:
    assert_equation(
        KD(temperature=temperature).build(), case.contrast(), lambda c, _: slow.kd(c, temperature * case.factor)
    )


def test_gradient_is_the_difference_of_probabilities_and_zero_for_equal_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    student.requires_grad_()
    temperature = 3.0
    loss = KD(temperature=temperature).build()(logits_on_paper(student, teacher), WORLD)
    (gradient,) = torch.autograd.grad(loss, student)
    expected = temperature * (torch.softmax(student / temperature, 1) - torch.softmax(teacher / temperature, 1)) / 4
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-12, atol=1e-15)

    equal = teacher.clone().requires_grad_()
    loss = KD(temperature=temperature).build()(logits_on_paper(equal, teacher + 7), WORLD)  # a shift changes nothing
    assert loss.item() == pytest.approx(0, abs=1e-14)
    assert torch.autograd.grad(loss, equal)[0].abs().max().item() < 1e-15


def test_hot_kd_matches_logits() -> None:
    """Hinton et al. 2015, section 2.1: at high temperatures, half the mean squared difference of centred logits."""
    student = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    difference = (student - student.mean()) - (teacher - teacher.mean())
    found = value(KD(temperature=100.0), logits_on_paper(student, teacher))
    assert found == pytest.approx(difference.square().mean().item() / 2, rel=0.02)


def test_needs_no_heads_and_no_memory() -> None:
    assert KD().reads == {"logits"}
    assert (KD().sides, KD().draws, KD().trains_teacher_head) == (0, False, False)
