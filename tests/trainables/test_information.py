"""The bound of mutual information that a probe measures and a policy is told."""

import math

import pytest
import torch
from torch import Tensor

from tests.trainables.trials import unit_rows
from trainables.information import best_temperature, infonce_bound


def cosines(a_ND: Tensor, b_ND: Tensor) -> Tensor:
    return (a_ND @ b_ND.T).unsqueeze(0)


def test_identical_rows_show_all_that_can_be_shown_and_unrelated_ones_nothing() -> None:
    rows, unrelated = unit_rows(64, 32, 0), unit_rows(64, 32, 1)
    assert infonce_bound(cosines(rows, rows), 0.03) == pytest.approx(math.log(64), abs=1e-3)
    assert infonce_bound(cosines(rows, unrelated), 1.0) == pytest.approx(0, abs=0.1)
    assert infonce_bound(cosines(rows, unrelated), 0.03) < 0


def test_the_bound_is_that_of_a_loop() -> None:
    groups = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    terms = [
        math.log(math.exp(group[i][i] / 0.3) / (sum(math.exp(other / 0.3) for other in group[i]) / 4))
        for group in groups.tolist()
        for i in range(4)
    ]
    assert infonce_bound(groups, 0.3) == pytest.approx(sum(terms) / len(terms))


def test_no_other_temperature_does_better() -> None:
    groups = torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    groups = groups + 0.2 * torch.eye(20)
    best = infonce_bound(groups, best_temperature(groups))
    others = [infonce_bound(groups, 0.01 * 1.05**step) for step in range(200)]
    assert best == pytest.approx(max(others), abs=1e-4)
    assert min(others) < best - 0.1


def test_looser_pairs_ask_for_a_higher_temperature() -> None:
    teacher = unit_rows(64, 16, 0)
    near, far = (torch.nn.functional.normalize(teacher + noise * unit_rows(64, 16, 1), dim=1) for noise in (0.2, 1.5))
    assert best_temperature(cosines(near, teacher)) < best_temperature(cosines(far, teacher))
