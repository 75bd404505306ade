"""CompRess is its equation."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import rows as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper, value
from trainables.objectives.compress import CompRess
from trainables.protocols import NOBODY


@pytest.mark.parametrize("queues", [1, 2])
@few
@given(case=cases(), temperature=st.floats(0.05, 2))
def test_equation(queues: Literal[1, 2], case: Case, temperature: float) -> None:
    objective = CompRess(temperature=temperature, queues=queues).build()
    assert_equation(objective, case.contrast(), lambda c, _: slow.compress(c, temperature * case.factor, queues))


def test_zero_for_equal_similarities_though_the_spaces_are_turned() -> None:
    student, rows = directions(0.4), directions(1.0, 3.0)
    batch = on_paper(student, directions(0.4 + 1), rows)
    turned = replace(batch, rows=replace(batch.rows, teacher_MD=directions(2.0, 4.0)))
    assert value(CompRess(temperature=0.5, queues=2), turned) == pytest.approx(0, abs=1e-15)
    assert value(CompRess(temperature=0.5, queues=1), turned) > 0.01


def test_a_uniform_teacher() -> None:
    teacher, student = directions(math.pi / 2), directions(0.0)
    batch = on_paper(student, teacher, directions(0.0, math.pi))  # the teacher is at right angles to both rows
    minus_log = [math.log1p(math.exp(-2 / 0.5)), math.log1p(math.exp(2 / 0.5))]
    assert value(CompRess(temperature=0.5, queues=1), batch) == pytest.approx(
        sum(minus_log) / 2 - math.log(2), rel=1e-12
    )


def test_gradient_moves_to_what_the_teacher_is_like() -> None:
    student, teacher, rows = directions(0.4).requires_grad_(), directions(0.9), directions(1.0, 2.0, -1.0)
    loss = CompRess(temperature=0.3).build()(on_paper(student, teacher, rows), WORLD)
    target, share = (torch.softmax(anchor.detach() @ rows.T / 0.3, dim=1) for anchor in (teacher, student))
    torch.testing.assert_close(
        torch.autograd.grad(loss, student)[0], (share - target) @ rows / 0.3, rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("key", [0, NOBODY])
def test_nothing_to_compare_with_one_row_or_none(key: int) -> None:
    student = directions(0.4).requires_grad_()
    batch = on_paper(student, directions(0.9), directions(1.0))
    batch = replace(batch, rows=replace(batch.rows, key_M=torch.tensor([key])))
    loss = CompRess().build()(batch, WORLD)
    assert loss.item() == 0
    assert torch.equal(torch.autograd.grad(loss, student)[0], torch.zeros(1, 2, dtype=torch.float64))


def test_the_teacher_is_a_target_and_a_queue_a_half_of_the_memory() -> None:
    assert [CompRess(queues=queues).sides for queues in (1, 2)] == [1, 2]
    assert (CompRess().draws, CompRess().trains_teacher_head) == (False, False)
