"""DCD is its equation."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.references import rows as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper, value
from trainables.objectives.dcd import DCD
from trainables.objectives.infonce import InfoNCE


@few
@given(case=cases(), temperature=st.floats(0.11, 2), consistency=st.floats(0, 2))
def test_equation(case: Case, temperature: float, consistency: float) -> None:
    def expected(c: Any, parameters: dict[str, Tensor]) -> Tensor:
        return slow.dcd(c, parameters["log_scale"].exp() / case.factor, consistency)

    objective = DCD(temperature=temperature, consistency=consistency).build().to(case.dtype)
    assert_equation(objective, case.contrast(), expected)


def test_all_similarities_equal() -> None:
    same = directions(0.3, 0.3)
    assert value(DCD(), on_paper(same, same, same[:1].repeat(4, 1))) == pytest.approx(math.log(5), rel=1e-12)


def test_without_consistency_it_is_infonce_against_every_row() -> None:
    student, teacher, rows = directions(0.1, 0.8), directions(0.4, -0.5), directions(2.0, 1.0, -1.0)
    batch = on_paper(student, teacher, rows, negatives=3)
    found = value(DCD(temperature=0.5, consistency=0.0), batch)
    assert found == pytest.approx(value(InfoNCE(temperature=0.5), batch), rel=1e-6)  # the scale is in single precision


def test_consistency_is_the_divergence_from_what_teacher_anchors_make_of_their_rows() -> None:
    student, teacher, rows = directions(0.1), directions(0.4), directions(2.0, 1.0)
    batch = on_paper(student, teacher, rows)
    of_student, of_teacher = (
        torch.softmax(torch.cat([student @ teacher.T, anchor @ rows.T], dim=1), dim=1) for anchor in (student, teacher)
    )
    divergence = (of_teacher * (of_teacher / of_student).log()).sum().item()
    difference = value(DCD(temperature=1.0, consistency=2.0), batch) - value(
        DCD(temperature=1.0, consistency=0.0), batch
    )
    assert difference == pytest.approx(2 * divergence, rel=1e-12)


def test_equal_networks_are_consistent() -> None:
    same, rows = directions(0.1, 0.8), directions(2.0, 1.0)
    batch = on_paper(same, same.clone(), rows)
    assert value(DCD(consistency=100.0), batch) == pytest.approx(value(DCD(consistency=0.0), batch), rel=1e-12)


def test_the_scale_learns_and_stays_at_ten_at_most() -> None:
    objective = DCD(temperature=0.1).build()
    batch = on_paper(directions(0.1), directions(0.2), directions(2.0))
    for _ in range(3):
        objective.zero_grad()
        objective(batch, WORLD).backward()
        gradient = objective.log_scale.grad
        assert gradient is not None
        assert gradient.abs().item() > 0  # also at its limit
        with torch.no_grad():
            objective.log_scale.sub_(1000 * gradient)
    objective(batch, WORLD)
    assert objective.log_scale.exp().item() == pytest.approx(10, rel=1e-6)


def test_rows_of_its_own_key_are_left_out() -> None:
    student, teacher, rows = directions(0.1), directions(0.2), directions(0.5, 2.0)
    batch = on_paper(student, teacher, rows)
    batch = replace(batch, rows=replace(batch.rows, key_M=torch.tensor([0, 9])))
    assert value(DCD(), batch) == value(DCD(), on_paper(student, teacher, rows[1:]))


def test_looks_at_every_row_of_both_halves() -> None:
    assert (DCD().sides, DCD().draws, DCD().trains_teacher_head) == (2, False, True)
