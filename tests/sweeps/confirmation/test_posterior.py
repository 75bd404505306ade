"""Posterior draws against closed forms."""

import numpy as np
import pytest
from scipy import stats

from sweeps.confirmation.posterior import VARIANCE_DOF, draw_means, seed_deviation

NOISY = np.array([False])
DRAWS = 40_000


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_two_points_alone_have_the_shrunken_t_intervals() -> None:
    values = [column(0.50, 0.54), column(0.60, 0.61, 0.65)]
    draws = draw_means(values, NOISY, DRAWS)[..., 0]
    squares = [np.square(each - each.mean()).sum() for each in values]
    pooled = sum(squares) / 3
    for point, (each, square) in enumerate(zip(values, squares, strict=True)):
        dof = VARIANCE_DOF + len(each) - 1
        scale = np.sqrt((VARIANCE_DOF * pooled + square) / dof / len(each))
        expected = stats.t(dof, each.mean(), scale).ppf([0.025, 0.25, 0.5, 0.975])
        assert np.quantile(draws[:, point], [0.025, 0.25, 0.5, 0.975]) == pytest.approx(expected, abs=0.04 * scale)


def test_many_seeds_give_the_chance_of_two_normals() -> None:
    rng = np.random.default_rng(1)
    noise = stats.zscore(rng.standard_normal((2, 400, 1)), axis=1)
    values = [0.600 + 0.02 * noise[0], 0.601 + 0.02 * noise[1]]
    draws = draw_means(values, NOISY, DRAWS)[..., 0]
    expected = stats.norm.cdf(0.001 / (0.02 * np.sqrt(2 / 400)))
    assert (draws[:, 1] > draws[:, 0]).mean() == pytest.approx(expected, abs=0.02)


def test_points_that_lie_on_a_curve_are_drawn_to_it_and_others_are_not() -> None:
    cost = np.geomspace(0.03, 0.6, 12)
    curve = 0.6 + 0.03 * np.log(cost)
    exact = np.array([False, True])

    def estimates(means: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
        shifts = noise * np.array([-1.0, 1.0]) / np.sqrt(2)
        values = [np.column_stack([mean + shifts, [each, each]]) for mean, each in zip(means, cost, strict=True)]
        draws = draw_means(values, exact, 4000)
        assert (draws[..., 1] == cost).all(), "an exact metric has no noise"
        return draws[..., 0].mean(axis=0), draws[..., 0].std(axis=0)

    off = curve + 0.01 * np.resize([1, -1], 12)
    loud, spread = estimates(off, noise=0.03)
    assert np.abs(loud - curve).max() < 0.006, "noise explains the deviations"
    assert spread.max() < 0.03 / np.sqrt(2)
    quiet, _ = estimates(off, noise=0.001)
    assert np.abs(quiet - off).max() < 0.001, "noise does not explain them"


def test_noise_of_two_metrics_is_correlated_as_it_was() -> None:
    rng = np.random.default_rng(2)
    noise = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=(3, 50))
    draws = draw_means(list(0.01 * noise), np.array([False, False]), 4000)
    for point in range(3):
        assert np.corrcoef(*draws[:, point].T)[0, 1] == pytest.approx(0.9, abs=0.08)


def test_without_two_seeds_of_a_point_nothing_is_known_of_noise() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        draw_means([column(0.5), column(0.6)], NOISY, 10)
    assert np.isnan(seed_deviation([column(0.5), column(0.6)])).all()
    assert seed_deviation([column(0.5, 0.7), column(0.6)]) == pytest.approx(np.sqrt(0.02))


def test_a_metric_without_noise_stays_as_it_is_and_one_seed_is_enough_beside_others() -> None:
    draws = draw_means([column(0.5, 0.5), column(0.6, 0.6), column(0.4)], NOISY, 10)
    assert (draws[..., 0] == [0.5, 0.6, 0.4]).all()
