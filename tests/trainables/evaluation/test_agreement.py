import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.trainables.evaluation.evidence import Story, features, judged, normal, three_class_evidence, with_student
from trainables.evaluation.agreement import TeacherAgreement, linear_cka
from trainables.evidence import Features
from trainables.information import best_temperature, infonce_bound

STUDENT = normal(300, 6, 0) * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def paired(teach: Callable[[Tensor, int], Tensor], samples: int = 1280, width: int = 4) -> Story:
    """`teach` makes a teacher's features of a student's, with noise of a seed."""

    def part(samples: int, seed: int) -> Features:
        student_NF = normal(samples, width, seed)
        return features(student_NF, teach(student_NF, seed + 1000))

    return Story(train=part(80, 0), held_out=part(samples, 1), source=part(1000, 2), source_view=part(1000, 3))


def bound(evidence: Story, candidates: int = 128) -> float:
    return judged(TeacherAgreement(candidates=candidates), evidence)["mi_bound_nats"]


def correlated(rho: float) -> Callable[[Tensor, int], Tensor]:
    def teach(student_NF: Tensor, seed: int) -> Tensor:
        samples, width = student_NF.shape
        return rho * student_NF + math.sqrt(1 - rho**2) * normal(samples, width, seed)

    return teach


def test_cka_does_not_see_turns_shifts_and_scales() -> None:
    turn = torch.linalg.qr(normal(6, 6, 1)).Q
    assert linear_cka(STUDENT, 7 * STUDENT @ turn + 3) == pytest.approx(1)
    stretched = STUDENT / torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert linear_cka(STUDENT, stretched) < 0.9  # an invertible map that is no turn is seen


def test_cka_of_independent_features_is_near_zero_and_of_constant_ones_zero() -> None:
    assert linear_cka(normal(5000, 4, 1), normal(5000, 6, 2)) == pytest.approx(0, abs=0.01)
    for constant in (torch.zeros(300, 6), torch.full((300, 6), 0.3), 1 + 1e-7 * STUDENT):
        assert linear_cka(STUDENT, constant) == 0
        assert linear_cka(constant, STUDENT) == 0


@pytest.mark.parametrize("samples", [300, 5])  # more samples than features, and fewer
def test_cka_is_that_of_centred_kernels(samples: int) -> None:
    a, b = STUDENT[:samples].double(), (STUDENT[:samples, :3] + normal(samples, 3, 1)).double()
    centring = torch.eye(samples, dtype=torch.float64) - 1 / samples
    kernels = [centring @ features_NF @ features_NF.T @ centring for features_NF in (a, b)]

    def hsic(k: Tensor, l: Tensor) -> float:  # noqa: E741 (named as in the paper)
        return float(torch.trace(k @ l)) / (samples - 1) ** 2

    expected = hsic(*kernels) / math.sqrt(hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1]))
    assert linear_cka(a, b) == pytest.approx(expected)
    assert linear_cka(b, a) == pytest.approx(expected)


def test_cka_is_measured_on_held_out_samples() -> None:
    evidence = three_class_evidence()
    held_out = replace(evidence.held_out, teacher_NF=2 * evidence.held_out.student_NF[:, [4, 3, 2, 1]])
    expected = linear_cka(held_out.student_NF, held_out.teacher_NF)
    assert judged(TeacherAgreement(), replace(evidence, held_out=held_out))["cka"] == expected
    assert judged(TeacherAgreement(), evidence)["cka"] != expected


def test_the_critic_is_a_ridge_regression_from_student_to_teacher() -> None:
    evidence = three_class_evidence()  # few enough that all samples of a part are candidates of each other
    source = evidence.source

    def standardised(features_NF: Tensor, like_NF: Tensor) -> Tensor:
        return (features_NF.double() - like_NF.double().mean(dim=0)) / like_NF.double().std(dim=0, correction=0)

    student, teacher = (standardised(part, part) for part in (source.student_NF, source.teacher_NF))
    weights = torch.linalg.solve(student.T @ student + 10 * torch.eye(5), student.T @ teacher)

    def cosines(part: Features) -> Tensor:
        predicted = standardised(part.student_NF, source.student_NF) @ weights
        taught = standardised(part.teacher_NF, source.teacher_NF)
        return torch.cosine_similarity(predicted[:, None], taught[None], dim=2)[None]  # rows tell teachers apart

    expected = infonce_bound(cosines(evidence.held_out), best_temperature(cosines(evidence.source_view)))
    assert bound(evidence) == pytest.approx(expected, abs=1e-3)
    assert infonce_bound(cosines(evidence.held_out).mT, best_temperature(cosines(evidence.source_view).mT)) != (
        pytest.approx(expected, abs=1e-2)
    )


def test_a_student_that_is_the_teacher_reaches_the_ceiling() -> None:
    for candidates in (16, 128):
        reached = bound(paired(lambda student_NF, _: student_NF, width=32), candidates)
        assert math.log(candidates) - 0.02 < reached <= math.log(candidates) + 1e-9


def test_fewer_samples_than_candidates_are_told_from_each_other() -> None:
    reached = bound(paired(lambda student_NF, _: student_NF, samples=40, width=32))
    assert math.log(40) - 0.02 < reached <= math.log(40) + 1e-9


@pytest.mark.parametrize("width", [4, 100])  # 100 can be fitted to anything: what is fitted must not be judged
def test_independent_features_share_nothing(width: int) -> None:
    independent = paired(lambda student_NF, seed: normal(len(student_NF), 4, seed), width=width)
    assert bound(independent) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_correlated_gaussians_share_no_less_than_the_bound(rho: float) -> None:
    true = -4 / 2 * math.log(1 - rho**2)
    assert 0.4 * true < bound(paired(correlated(rho))) < true + 0.05


def test_the_bound_grows_with_what_is_shared() -> None:
    bounds = [bound(paired(correlated(rho))) for rho in (0.0, 0.5, 0.8, 0.95)]
    assert bounds == sorted(bounds)
    assert bounds[-1] > bounds[0] + 1


def test_turns_of_the_student_are_no_loss() -> None:
    turn = torch.linalg.qr(normal(4, 4, 5)).Q
    evidence = paired(correlated(0.8))
    turned = with_student(evidence, lambda student_NF: student_NF @ turn)
    assert bound(turned) == pytest.approx(bound(evidence), abs=0.02)


def test_held_out_samples_only_judge() -> None:
    evidence = paired(correlated(0.9))
    held_out = evidence.held_out
    unpaired = replace(held_out, teacher_NF=held_out.teacher_NF.roll(1, dims=0))
    assert bound(replace(evidence, held_out=unpaired)) < -1  # an evaluator that learned from them would give up at 0
