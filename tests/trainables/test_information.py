"""The bound of mutual information that a policy is told."""

import math

import pytest
import torch

from tests.trainables.trials import unit_rows
from trainables.information import fitted_temperature, information_bound


def test_identical_rows_show_all_that_can_be_shown_and_unrelated_ones_nothing() -> None:
    rows = unit_rows(64, 32, 0)
    assert information_bound(rows, rows, 0.03) == pytest.approx(math.log(64), abs=1e-3)
    assert information_bound(rows, unit_rows(64, 32, 1), 1.0) == pytest.approx(0, abs=0.1)
    assert information_bound(rows, unit_rows(64, 32, 1), 0.03) < 0


def test_is_its_equation() -> None:
    student, teacher = unit_rows(5, 3, 0).double(), unit_rows(5, 3, 1).double()
    shares = [
        math.exp(float(student[i] @ teacher[i]) / 0.2) / sum(math.exp(float(student[i] @ row) / 0.2) for row in teacher)
        for i in range(5)
    ]
    expected = math.log(5) + sum(map(math.log, shares)) / 5
    assert information_bound(student, teacher, 0.2) == pytest.approx(expected, rel=1e-12)


def test_the_fitted_temperature_shows_most_and_is_higher_for_looser_pairs() -> None:
    teacher = unit_rows(64, 16, 0)
    near, far = (torch.nn.functional.normalize(teacher + noise * unit_rows(64, 16, 1), dim=1) for noise in (0.2, 1.5))
    assert fitted_temperature(near, teacher) < fitted_temperature(far, teacher)
    best = information_bound(far, teacher, fitted_temperature(far, teacher))
    assert all(best >= information_bound(far, teacher, value) for value in (0.03, 0.1, 0.3, 1.0))
