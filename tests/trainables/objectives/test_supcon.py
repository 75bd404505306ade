"""SupCon is its equation."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import rows as slow
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, directions, few, on_paper, value
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.supcon import SupCon
from trainables.protocols import NOBODY, Contrast


@few
@given(case=cases(), temperature=st.floats(0.05, 2))
def test_equation(case: Case, temperature: float) -> None:
    objective = SupCon(temperature=temperature).build()
    assert_equation(objective, case.contrast(), lambda c, _: slow.supcon(c, temperature * case.factor))


def labelled(contrast: Contrast, label_B: list[int], key_M: list[int], label_M: list[int]) -> Contrast:
    rows = replace(contrast.rows, key_M=torch.tensor(key_M), label_M=torch.tensor(label_M))
    return replace(contrast, rows=rows, label_B=torch.tensor(label_B))


def test_all_similarities_equal() -> None:
    same = directions(0.3, 0.3)
    batch = labelled(on_paper(same, same, same[:1].repeat(4, 1)), [0, 1], [7, 8, NOBODY, 9], [0, 0, NOBODY, 1])
    assert value(SupCon(), batch) == pytest.approx(math.log(5), rel=1e-12)


def test_a_positive_of_the_same_class_beside_a_perfect_one() -> None:
    same, orthogonal = directions(0.0), directions(math.pi / 2)
    batch = labelled(on_paper(same, same, torch.cat([orthogonal, orthogonal])), [3], [7, 8], [3, 4])
    total = math.log(math.exp(2) + 2)  # own positive exp(1/T), both rows exp(0)
    assert value(SupCon(temperature=0.5), batch) == pytest.approx(((total - 2) + total) / 2, rel=1e-12)


def test_without_rows_of_its_class_it_is_infonce_against_every_row() -> None:
    student, teacher, rows = directions(0.1, 0.8), directions(0.4, -0.5), directions(2.0, 1.0, -1.0)
    batch = on_paper(student, teacher, rows, negatives=3)
    unlike = labelled(batch, [0, 1], [7, NOBODY, 9], [5, NOBODY, 5])
    assert value(SupCon(temperature=0.2), unlike) == pytest.approx(value(InfoNCE(temperature=0.2), batch), rel=1e-12)


def test_rows_of_its_own_key_and_of_nobody_are_no_positives() -> None:
    student, rows = directions(0.1), directions(0.2, 2.0)
    batch = labelled(on_paper(student, student, rows), [3], [0, NOBODY], [3, NOBODY])
    alone = labelled(on_paper(student, student, rows[1:]), [3], [NOBODY], [NOBODY])
    assert value(SupCon(), batch) == value(SupCon(), alone)


def test_nothing_to_lose_against_no_rows() -> None:
    student = directions(0.1).requires_grad_()
    loss = SupCon().build()(labelled(on_paper(student, directions(1.0), directions(0.2)), [3], [0], [3]), WORLD)
    assert loss.item() == 0
    assert torch.equal(torch.autograd.grad(loss, student)[0], torch.zeros(1, 2, dtype=torch.float64))


def test_uses_labels_and_every_row() -> None:
    assert (SupCon().uses_labels, SupCon().draws, SupCon().sides) == (True, False, 2)
