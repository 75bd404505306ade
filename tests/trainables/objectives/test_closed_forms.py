"""Losses whose value can be worked out on paper."""

import math

import pytest
import torch
from torch import Tensor

from trainables.config import TrialConfig
from trainables.objectives.contrast import log_importance
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.protocols import Contrast, Draws, Rows
from trainables.world import SingleWorld

WORLD = SingleWorld()


def contrast(student: Tensor, teacher: Tensor, row: Tensor, negatives: int) -> Contrast:
    """Every anchor against the same single row, `negatives` times, for both sides."""
    batch = len(student)
    draws = Draws(
        torch.zeros(batch, negatives, dtype=torch.long),
        torch.zeros(batch, negatives, dtype=student.dtype),
        torch.ones(batch, dtype=torch.long),
    )
    rows = Rows(row, row, torch.tensor([-1]))
    return Contrast(torch.arange(batch), student, teacher, student, teacher, rows, draws)


def directions(*angles: float) -> Tensor:
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles], dtype=torch.float64)


@pytest.mark.parametrize("negatives", [1, 7, 64])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_all_similarities_equal(negatives: int, temperature: float) -> None:
    same = directions(0.3, 0.3)
    batch = contrast(same, same, same[:1], negatives)
    infonce = InfoNCE(temperature=temperature).build()(batch, WORLD)
    assert infonce.item() == pytest.approx(math.log(1 + negatives), rel=1e-12)
    # CRD's normaliser makes every pair as likely as the noise times n: h = 1 / (1 + K)
    crd = CRD(temperature=temperature).build()(batch, WORLD)
    expected = math.log(1 + negatives) + negatives * math.log((1 + negatives) / negatives)
    assert crd.item() == pytest.approx(2 * expected, rel=1e-12)


def test_a_perfect_positive_against_an_orthogonal_negative() -> None:
    same = directions(0.0)
    loss = InfoNCE(temperature=0.5).build()(contrast(same, same, directions(math.pi / 2), 3), WORLD)
    assert loss.item() == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.5)), rel=1e-12)


def test_a_temperature_is_a_scale_of_the_similarities() -> None:
    student, teacher, row = directions(0.1, 0.8), directions(0.4, -0.5), directions(2.0)
    scale = 0.2**-0.5
    cold = contrast(student, teacher, row, 5)
    scaled = contrast(student * scale, teacher * scale, row * scale, 5)
    for member in (InfoNCE, CRD):
        found = member(temperature=0.2).build()(cold, WORLD).item()
        assert found == pytest.approx(member(temperature=1.0).build()(scaled, WORLD).item(), rel=1e-12)


def test_crd_is_finite_where_the_exponential_of_a_similarity_is_not() -> None:
    student, teacher = directions(0.0).requires_grad_(), directions(0.1)
    loss = CRD(temperature=1e-3).build()(contrast(student, teacher, directions(1.0), 4), WORLD)
    assert math.isfinite(loss.item())


def logits(student: Tensor, teacher: Tensor) -> Contrast:
    empty = contrast(student[:, :2], teacher[:, :2], student[:1, :2].detach(), 1)
    return Contrast(**(vars(empty) | {"student_logits_BC": student, "teacher_logits_BC": teacher}))


def test_kd_and_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    student = torch.randn(4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    temperature = 3.0
    loss = KD(temperature=temperature).build()(logits(student, teacher), WORLD)
    (gradient,) = torch.autograd.grad(loss, student)
    expected = temperature * (torch.softmax(student / temperature, 1) - torch.softmax(teacher / temperature, 1)) / 4
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-12, atol=1e-15)

    equal = teacher.clone().requires_grad_()
    loss = KD(temperature=temperature).build()(logits(equal, teacher + 7), WORLD)  # a shift changes no probability
    assert loss.item() == pytest.approx(0, abs=1e-14)
    assert torch.autograd.grad(loss, equal)[0].abs().max().item() < 1e-15


def test_hot_kd_matches_logits() -> None:
    """Hinton et al. 2015, section 2.1: at high temperatures, half the mean squared difference of centred logits."""
    student = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    difference = (student - student.mean()) - (teacher - teacher.mean())
    loss = KD(temperature=100.0).build()(logits(student, teacher), WORLD)
    assert loss.item() == pytest.approx(difference.square().mean().item() / 2, rel=0.02)


def test_importance_is_nothing_for_uniform_draws_and_the_ratio_for_others() -> None:
    row = torch.zeros(1, 2, dtype=torch.long)
    uniform = Draws(row, -torch.tensor([5]).log().expand(1, 2), torch.tensor([5]))
    assert torch.equal(log_importance(uniform), torch.zeros(1, 2))
    skewed = Draws(row, torch.tensor([[0.5, 0.1]], dtype=torch.float64).log(), torch.tensor([5]))
    expected = torch.tensor([[0.4, 2.0]], dtype=torch.float64).log()
    torch.testing.assert_close(log_importance(skewed), expected, rtol=1e-14, atol=0)


def test_only_crd_keeps_a_normaliser_and_it_is_in_the_state() -> None:
    states = {
        name: set(TrialConfig.model_validate({"objective": {"name": name}}).objective.build().state_dict())
        for name in ("crd", "infonce", "kd")
    }
    assert states == {"crd": {"log_normaliser_student", "log_normaliser_teacher"}, "infonce": set(), "kd": set()}
