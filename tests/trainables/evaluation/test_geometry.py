import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor

from tests.trainables.evaluation.evidence import (
    features,
    judged,
    normal,
    three_class_evidence,
    three_classes,
    with_student,
)
from trainables.evaluation.geometry import Geometry, effective_rank

CROSS = torch.tensor([[3.0, 0.0], [0.0, 0.5], [-1.0, 0.0], [0.0, -2.0]])  # four neighbours at 2, two opposites at 4


def of_held_out(student_NF: Tensor, labels: list[int] | None = None, t: float = 2.0) -> dict[str, float]:
    held_out = features(student_NF, label_N=None if labels is None else torch.tensor(labels))
    return judged(Geometry(t=t), replace(three_class_evidence(), held_out=held_out))


def test_uniformity_of_points_on_a_circle() -> None:
    for t in (0.5, 2.0):
        expected = math.log((4 * math.exp(-2 * t) + 2 * math.exp(-4 * t)) / 6)
        assert of_held_out(CROSS, t=t)["uniformity"] == pytest.approx(expected, abs=1e-6)


def test_alignment_of_hand_worked_views() -> None:
    source, view = features(torch.tensor([[1.0, 0.0], [0.0, 2.0]])), features(torch.tensor([[0.0, 1.0], [0.0, 5.0]]))
    evidence = replace(three_class_evidence(), source=source, source_view=view)
    assert judged(Geometry(), evidence)["alignment"] == pytest.approx((2 + 0) / 2)


def test_intra_class_alignment_is_a_mean_over_the_classes_that_have_pairs() -> None:
    points = torch.tensor([[1.0, 0.0], [0.0, 3.0], [1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    measured = of_held_out(points, [0, 0, 1, 1, 1, 2])
    assert measured["intra_class_alignment"] == pytest.approx((2 + (0 + 4 + 4) / 3) / 2)
    assert of_held_out(CROSS, [0, 1, 2, 3])["intra_class_alignment"] == 0


def test_pairs_are_those_of_a_loop() -> None:
    held_out = three_classes(40, 9, 2.0)
    rows = [row / row.norm() for row in held_out.student_NF.double()]
    pairs = [(i, j, float((rows[i] - rows[j]).square().sum())) for i, j in combinations(range(40), 2)]
    within = [[d for i, j, d in pairs if i % 3 == j % 3 == label] for label in range(3)]
    measured = of_held_out(held_out.student_NF, held_out.label_N.tolist())
    assert measured["uniformity"] == pytest.approx(
        math.log(sum(math.exp(-2 * d) for *_, d in pairs) / len(pairs)), abs=1e-6
    )
    assert measured["intra_class_alignment"] == pytest.approx(sum(sum(d) / len(d) for d in within) / 3)


@pytest.mark.parametrize("spectrum", [(1.0, 1.0, 1.0), (4.0, 2.0, 1.0, 1.0), (1.0, 1e-3), (5.0, 0.0, 0.0)])
def test_effective_rank_of_known_spectra(spectrum: tuple[float, ...]) -> None:
    centred = normal(50, len(spectrum), 0).double()
    left = torch.linalg.qr(centred - centred.mean(dim=0)).Q
    right = torch.linalg.qr(normal(8, len(spectrum), 1).double()).Q
    shares = [value / sum(spectrum) for value in spectrum if value]
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    common = 100 * normal(1, 8, 2)  # what all rows share is no direction of its own
    assert effective_rank(left * torch.tensor(spectrum) @ right.T + common) == pytest.approx(expected)


COLLAPSED: dict[str, Callable[[Tensor], Tensor]] = {
    "zero": torch.zeros_like,
    "constant": torch.ones_like,
    "constant but for rounding": lambda student_NF: 1 + 1e-7 * student_NF,
    "constant but for very little": lambda student_NF: 1 + 1e-4 * student_NF,
    "line through the origin": lambda student_NF: student_NF[:, :1] * torch.tensor([[1.0, -2.0, 3.0]]),
    "line elsewhere": lambda student_NF: 1 + student_NF[:, :1] * torch.tensor([[1.0, -2.0, 3.0]]),
    "one direction": lambda student_NF: student_NF[:, :1].abs() * torch.tensor([[1.0, 2.0, 3.0]]),
    "one feature": lambda student_NF: student_NF[:, :1],
}

SOUND: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda student_NF: student_NF,
    "rectified": torch.relu,
    "two features": lambda student_NF: student_NF[:, :2],
    "small beside a common part": lambda student_NF: 1 + 0.01 * student_NF,
    "tiny": lambda student_NF: 1e-6 * student_NF,
    "three points": lambda student_NF: torch.eye(3)[torch.arange(len(student_NF)) % 3],
}


@pytest.mark.parametrize("student", COLLAPSED)
def test_a_collapse_is_seen(student: str) -> None:
    assert judged(Geometry(), with_student(three_class_evidence(), COLLAPSED[student]))["collapsed"] == 1.0


@pytest.mark.parametrize("student", SOUND)
def test_ordinary_features_have_not_collapsed(student: str) -> None:
    assert judged(Geometry(), with_student(three_class_evidence(), SOUND[student]))["collapsed"] == 0.0


@pytest.mark.parametrize("student", ["zero", "constant", "constant but for rounding"])
def test_features_that_do_not_vary_have_no_rank_no_distance_and_no_uniformity(student: str) -> None:
    measured = judged(Geometry(), with_student(three_class_evidence(), COLLAPSED[student]))
    assert measured.pop("collapsed") == 1.0
    assert measured.pop("effective_rank") == 0.0
    assert measured == pytest.approx(dict.fromkeys(measured, 0.0), abs=1e-9)
