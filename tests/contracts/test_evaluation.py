"""What holds for every probe."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contracts.families import PROBES
from tests.trainables.evaluation.evidence import Story, chosen, features, judged, three_class_evidence, with_student

each_probe = pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)

#: Students that learned nothing, or ran away.
DEGENERATE: dict[str, Callable[[Tensor], Tensor]] = {
    "zero": torch.zeros_like,
    "constant": lambda student_NF: torch.full_like(student_NF, 0.3),
    "constant but for rounding": lambda student_NF: 1 + 1e-7 * student_NF,
    "on a line": lambda student_NF: student_NF[:, :1] * torch.tensor([[1.0, -2.0, 3.0]]),
    "half dead": lambda student_NF: student_NF * torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]),
    "one feature": lambda student_NF: student_NF[:, :1],
    "one constant feature": lambda student_NF: torch.ones_like(student_NF[:, :1]),
    "wider than the sets": lambda student_NF: student_NF.repeat(1, 20),
    "vanishing": lambda student_NF: 1e-20 * student_NF,
    "exploding": lambda student_NF: 1e15 * student_NF,
}


def accuracies(probe: Any, evidence: Story) -> dict[str, float]:
    return {name: value for name, value in judged(probe, evidence).items() if name.endswith(("_top1", "_area"))}


@each_probe
def test_measures_what_it_declares(probe: Any) -> None:
    measured = judged(probe, three_class_evidence())
    assert tuple(measured) == probe.measures
    assert isinstance(probe.at_rungs, bool)
    for value in measured.values():
        assert isinstance(value, float)
        assert math.isfinite(value)


def test_no_two_probes_measure_the_same() -> None:
    measures = [measure for probe in PROBES for measure in probe.measures]
    assert len(set(measures)) == len(measures)


def test_something_can_be_measured_at_rungs_and_every_kind_of_accuracy_is_known_here() -> None:
    assert any(probe.at_rungs for probe in PROBES)
    assert {type(probe).__name__ for probe in PROBES if accuracies(probe, three_class_evidence())} == {
        "KNN",
        "Linear",
        "FewShot",
    }


@each_probe
def test_one_made_at_rungs_does_without_the_source(probe: Any) -> None:
    if probe.at_rungs:
        evidence, nothing = three_class_evidence(), features(torch.empty(0, 0))
        assert judged(probe, replace(evidence, source=nothing, source_view=nothing)) == judged(probe, evidence)


@each_probe
def test_an_accuracy_knows_what_is_plain_and_guesses_what_is_noise(probe: Any) -> None:
    for share in accuracies(probe, three_class_evidence(signal=1.0)).values():
        assert 1 / 3 < share < 1
    for share in accuracies(probe, three_class_evidence(signal=30.0)).values():
        assert share == pytest.approx(1)
    for share in accuracies(probe, three_class_evidence(signal=0.0, held_out=3000)).values():
        assert share == pytest.approx(1 / 3, abs=0.06)


@each_probe
def test_an_accuracy_judges_held_out_samples_one_by_one_and_learns_nothing_from_them(probe: Any) -> None:
    evidence = three_class_evidence(held_out=90)
    halves = [torch.arange(0, 45), torch.arange(45, 90)]
    first, second = (accuracies(probe, replace(evidence, held_out=chosen(evidence.held_out, half))) for half in halves)
    for measure, share in accuracies(probe, evidence).items():
        assert share == pytest.approx((first[measure] + second[measure]) / 2, abs=1e-9)


@each_probe
def test_answers_twice_the_same_and_leaves_what_it_was_shown_as_it_was(probe: Any) -> None:
    evidence = three_class_evidence()
    before = copy.deepcopy(evidence)
    assert judged(probe, evidence) == judged(probe, evidence)
    for name in ("train", "held_out", "source", "source_view"):
        for tensor in ("student_NF", "teacher_NF", "label_N"):
            assert torch.equal(getattr(getattr(evidence, name), tensor), getattr(getattr(before, name), tensor))


@each_probe
def test_the_order_of_held_out_samples_is_all_the_same(probe: Any) -> None:
    evidence = three_class_evidence()  # too few for a second group of candidates, whose make-up is a matter of order
    order = torch.randperm(45, generator=torch.Generator().manual_seed(5))
    reordered = replace(evidence, held_out=chosen(evidence.held_out, order))
    assert judged(probe, reordered) == pytest.approx(judged(probe, evidence), abs=1e-6)


@each_probe
def test_the_scale_of_features_is_all_the_same(probe: Any) -> None:
    evidence = three_class_evidence()
    assert judged(probe, with_student(evidence, lambda student_NF: 1000 * student_NF)) == pytest.approx(
        judged(probe, evidence), abs=1e-4
    )


@each_probe
@pytest.mark.parametrize("student", DEGENERATE)
def test_is_a_number_whatever_the_student(probe: Any, student: str) -> None:
    for value in judged(probe, with_student(three_class_evidence(), DEGENERATE[student])).values():
        assert math.isfinite(value)


@each_probe
def test_is_a_number_whatever_the_teacher(probe: Any) -> None:
    evidence = three_class_evidence()
    held_out, source, source_view = (
        replace(part, teacher_NF=torch.ones_like(part.teacher_NF))
        for part in (evidence.held_out, evidence.source, evidence.source_view)
    )
    for value in judged(probe, replace(evidence, held_out=held_out, source=source, source_view=source_view)).values():
        assert math.isfinite(value)


@each_probe
def test_a_student_without_signal_is_worth_no_more_than_chance(probe: Any) -> None:
    constant = with_student(three_class_evidence(), lambda student_NF: torch.full_like(student_NF, 0.3))
    for share in accuracies(probe, constant).values():
        assert share == pytest.approx(1 / 3)
