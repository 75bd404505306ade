"""CRD is its equation, with each of its normalisers."""

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.references import crd as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper, value
from trainables.objectives.crd import CRD, FixedNormaliser, LearnedNormaliser, unreachable
from trainables.objectives.infonce import InfoNCE
from trainables.protocols import Decision

Normaliser = Literal["fixed", "learned"]
temperatures = st.floats(0.05, 2)


def learned(normaliser: nn.Module) -> LearnedNormaliser:
    assert isinstance(normaliser, LearnedNormaliser)
    return normaliser


def assert_fixed(case: Case, temperature: float, samples: int) -> None:
    """Two batches of one trial: the second one is normalised by the first."""
    objective = CRD(temperature=temperature).build()
    normalisers: list[float] = []

    def expected(c: Any, _: dict[str, Tensor]) -> Tensor:
        normalisers.extend(slow.crd_normalisers(c, temperature * case.factor, samples) if not normalisers else [])
        return slow.crd(c, temperature * case.factor, samples, normalisers)

    for batch_number in range(2):
        assert_equation(objective, case.contrast(batch_number), expected)


@few
@given(case=cases(), temperature=temperatures, samples=st.integers(2, 100_000))
def test_fixed_normaliser(case: Case, temperature: float, samples: int) -> None:
    assert_fixed(case, temperature, samples)


@few
@given(case=cases(prior=st.sampled_from([0.05, 0.3])), temperature=st.floats(0.1, 2))  # a difference in float32
def test_without_false_negatives(case: Case, temperature: float) -> None:
    assert_fixed(case, temperature, samples=1000)


@few
@given(case=cases(), temperature=temperatures, samples=st.integers(2, 100_000))
def test_learned_normaliser(case: Case, temperature: float, samples: int) -> None:
    objective = CRD(temperature=temperature, normaliser="learned").build().to(case.dtype)
    T, first = temperature * case.factor, case.contrast(0)
    student, teacher = learned(objective.student_normaliser), learned(objective.teacher_normaliser)
    assert not student.begun
    objective(first, WORLD)
    started = [student.bias.item(), teacher.bias.item()]
    wanted = [math.log(Z / samples) for Z in slow.crd_normalisers(first, T, samples)]
    assert started == pytest.approx(wanted, rel=1e-5 if case.dtype == torch.float32 else 1e-12, abs=1e-6)
    with torch.no_grad():
        student.bias.add_(0.3)  # as an optimiser would

    def expected(c: Any, bias: dict[str, Tensor]) -> Tensor:
        return slow.crd(
            c, T, samples, [samples * bias[f"{side}_normaliser.bias"].exp() for side in ("student", "teacher")]
        )

    assert_equation(objective, case.contrast(1), expected)


def contrasts() -> list[Any]:
    case = Case(4, 5, 8, 6, 3, True, "uniform", "exact", 0.0, 0.0, 1.0, torch.float32, 5)
    return [case.contrast(0), case.contrast(1)]


def at(contrast: Any, temperature: float) -> Any:
    return replace(contrast, decision=Decision(temperature=temperature))


def test_a_fixed_normaliser_is_set_anew_when_the_policy_changes_the_temperature() -> None:
    first, second = contrasts()
    begun, fresh = CRD(temperature=0.2).build(), CRD(temperature=0.2).build()
    normaliser = begun.student_normaliser
    assert isinstance(normaliser, FixedNormaliser)
    begun(first, WORLD)
    kept = normaliser.log_mean.item()
    begun(second, WORLD)
    assert normaliser.log_mean.item() == kept
    assert torch.equal(begun(at(second, 0.5), WORLD), fresh(at(second, 0.5), WORLD))
    assert normaliser.temperature.item() == 0.2 * 0.5


def test_a_learned_normaliser_starts_once() -> None:
    first, second = contrasts()
    objective = CRD(temperature=0.2, normaliser="learned").build()
    objective(first, WORLD)
    started = learned(objective.student_normaliser).bias.item()
    objective(at(second, 0.5), WORLD)
    assert learned(objective.student_normaliser).bias.item() == started


@pytest.mark.parametrize("normaliser", ["fixed", "learned"])
def test_all_that_a_normaliser_learns_is_in_the_state(normaliser: Normaliser) -> None:
    first, second = contrasts()
    begun, restored = (CRD(temperature=0.2, normaliser=normaliser).build() for _ in range(2))
    begun(first, WORLD)
    restored.load_state_dict(begun.state_dict())
    assert torch.equal(restored(second, WORLD), begun(second, WORLD))


@pytest.mark.parametrize("negatives", [1, 7, 64])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("normaliser", ["fixed", "learned"])
@pytest.mark.parametrize("prior", [0.0, 0.25])
def test_all_similarities_equal(negatives: int, temperature: float, normaliser: Normaliser, prior: float) -> None:
    same = directions(0.3, 0.3)
    batch = on_paper(same, same, same[:1], negatives)
    batch = replace(batch, draws=replace(batch.draws, sharpness=2.0, prior=prior))
    # the normaliser makes every pair as likely as the noise times n: h = 1 / (1 + K)
    expected = math.log(1 + negatives) + negatives * math.log((1 + negatives) / negatives)
    # a learned one is in single precision
    rel = 1e-12 if normaliser == "fixed" else 1e-6
    assert value(CRD(temperature=temperature, normaliser=normaliser), batch) == pytest.approx(2 * expected, rel=rel)


@pytest.mark.parametrize("objective", [CRD, InfoNCE])
def test_a_temperature_is_a_scale_of_the_similarities(objective: Any) -> None:
    student, teacher, row = directions(0.1, 0.8), directions(0.4, -0.5), directions(2.0)
    scale = 0.2**-0.5
    cold = value(objective(temperature=0.2), on_paper(student, teacher, row, 5))
    scaled = on_paper(student * scale, teacher * scale, row * scale, 5)
    assert cold == pytest.approx(value(objective(temperature=1.0), scaled), rel=1e-12)


def test_no_loss_of_negatives_is_left_where_the_positive_is_their_like() -> None:
    """Every negative is a false one: the non-negative estimate leaves the positive's loss alone."""
    same = directions(0.3)
    batch = on_paper(same, same, directions(1.5), 3)
    batch = replace(batch, draws=replace(batch.draws, prior=0.9))
    log_mean = math.log((math.exp(1) + 3 * math.exp(math.cos(1.2))) / 4)
    expected = math.log1p(math.exp(log_mean + math.log(3) - 1))
    assert value(CRD(temperature=1.0), batch) == pytest.approx(2 * expected, rel=1e-12)


@pytest.mark.parametrize("normaliser", ["fixed", "learned"])
def test_finite_where_the_exponential_of_a_similarity_is_not(normaliser: Normaliser) -> None:
    student, teacher = directions(0.0, 1.0).requires_grad_(), directions(1.0, 0.9).requires_grad_()
    contrast = on_paper(student.float(), teacher.float(), directions(1.0, 3.0).float(), 4)
    draws = replace(contrast.draws, sharpness=2.0, prior=0.3)
    loss = CRD(temperature=1e-3, normaliser=normaliser).build()(replace(contrast, draws=draws), WORLD)
    assert math.isfinite(loss.item())
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, [student, teacher]))


def test_without_sharpness_and_prior_a_hard_sampler_changes_no_bit() -> None:
    contrast = contrasts()[0]
    hard = replace(contrast, draws=replace(contrast.draws, sharpness=0.0 * 3.0, prior=0.0))
    assert torch.equal(CRD().build()(hard, WORLD), CRD().build()(contrast, WORLD))


def test_relaxed_positives_are_declared() -> None:
    assert (CRD().relaxes, CRD().uses_labels) == (False, False)
    assert (CRD(positive="relax").relaxes, CRD(positive="relax").uses_labels) == (True, True)


def test_unreachable_is_where_random_embeddings_put_one_half() -> None:
    """Measured in the authors' setting (methods, 2.5.2): D = 128 and K = 16384 at temperatures 0.07 and 0.1."""
    assert unreachable(0.07, 16384, 128) == pytest.approx(0.735, abs=5e-4)
    assert unreachable(0.1, 16384, 128) == pytest.approx(1.009, abs=1e-3)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(4000, 32, generator=generator), dim=1) for _ in range(2))
    log_mean = (a @ b.T / 0.3).logsumexp(dim=(0, 1)).item() - 2 * math.log(4000)
    assert unreachable(0.3, 100, 32) == pytest.approx(0.3 * (log_mean + math.log(100)), rel=0.01)
