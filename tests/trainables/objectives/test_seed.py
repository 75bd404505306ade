"""SEED is its equation."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import rows as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper, value
from trainables.objectives.seed import SEED


@few
@given(case=cases(), temperature=st.floats(0.05, 2), teacher_temperature=st.floats(0.05, 2))
def test_equation(case: Case, temperature: float, teacher_temperature: float) -> None:
    objective = SEED(temperature=temperature, teacher_temperature=teacher_temperature).build()
    T_student, T_teacher = temperature * case.factor, teacher_temperature * case.factor
    assert_equation(objective, case.contrast(), lambda c, _: slow.seed(c, T_student, T_teacher))


def test_all_similarities_equal() -> None:
    same = directions(0.3, 0.3)
    assert value(SEED(), on_paper(same, same, same[:1].repeat(4, 1))) == pytest.approx(math.log(5), rel=1e-12)


def test_a_student_like_its_teacher_is_left_with_the_teachers_entropy_and_no_gradient_along_the_rows() -> None:
    teacher, rows = directions(0.4), directions(1.0, 2.0)
    student = teacher.clone().requires_grad_()
    loss = SEED(temperature=0.3, teacher_temperature=0.3).build()(on_paper(student, teacher, rows), WORLD)
    share = torch.softmax(teacher @ torch.cat([teacher, rows]).T / 0.3, dim=1)
    assert loss.item() == pytest.approx(-(share * share.log()).sum().item(), rel=1e-12)
    assert torch.autograd.grad(loss, student)[0].abs().max().item() < 1e-14


def test_gradient_moves_to_what_the_teacher_is_like() -> None:
    student, teacher, rows = directions(0.4).requires_grad_(), directions(0.9), directions(1.0, 2.0)
    loss = SEED(temperature=0.3, teacher_temperature=0.1).build()(on_paper(student, teacher, rows), WORLD)
    candidates = torch.cat([teacher, rows])
    target = torch.softmax(teacher @ candidates.T / 0.1, dim=1)
    share = torch.softmax(student.detach() @ candidates.T / 0.3, dim=1)
    torch.testing.assert_close(
        torch.autograd.grad(loss, student)[0], (share - target) @ candidates / 0.3, rtol=1e-12, atol=1e-15
    )


def test_rows_of_its_own_key_are_left_out() -> None:
    student, teacher, rows = directions(0.1), directions(0.2), directions(0.5, 2.0)
    batch = on_paper(student, teacher, rows)
    batch = replace(batch, rows=replace(batch.rows, key_M=torch.tensor([0, 9])))
    assert value(SEED(), batch) == value(SEED(), on_paper(student, teacher, rows[1:]))


def test_the_teacher_is_a_target() -> None:
    objective = SEED()
    assert (objective.sides, objective.draws, objective.trains_teacher_head) == (1, False, False)
