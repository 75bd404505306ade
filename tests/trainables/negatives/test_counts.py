"""Counts of many draws at once are distributed as draws one by one are."""

import pytest
import torch
from scipy import stats

from tests.trainables.negatives.scene import seeded
from trainables.negatives.counts import _table, uniform_counts

LIKELY = 1e-3  # a seeded draw below this probability is no accident
sizes = pytest.mark.parametrize(("rows", "count"), [(1, 1), (1, 5000), (7, 30), (7, 100_000), (50, 1), (900, 1000)])


@sizes
def test_every_anchor_has_all_its_draws(rows: int, count: int) -> None:
    count_BM = uniform_counts(33, rows, count, seeded(1))
    assert count_BM.shape == (33, rows)
    assert (count_BM >= 0).all()
    assert (count_BM.sum(dim=1) == count).all()


@pytest.mark.parametrize(("rows", "count"), [(5, 40), (40, 300), (13, 4)])
def test_a_row_is_drawn_as_often_as_chance_has_it(rows: int, count: int) -> None:
    count_BM = uniform_counts(40_000, rows, count, seeded(2))
    law = stats.binom(count, 1 / rows)
    for row in {0, rows - 1}:
        least, most = int(law.ppf(0.001)), int(law.ppf(0.999))
        seen = torch.bincount(count_BM[:, row].long().clamp(least, most) - least, minlength=most - least + 1)
        expected = law.pmf(range(least, most + 1))
        expected[0], expected[-1] = law.cdf(least), law.sf(most - 1)
        assert stats.chisquare(seen.numpy(), 40_000 * expected).pvalue > LIKELY


def test_rows_take_draws_from_each_other() -> None:
    """Counts of two rows correlate by -1 / (M - 1), which Poisson counts alone would not."""
    rows, anchors = 4, 40_000
    correlation = torch.corrcoef(uniform_counts(anchors, rows, 60, seeded(3)).double().T)
    others = correlation[~torch.eye(rows, dtype=torch.bool)]
    assert (others + 1 / (rows - 1)).abs().max() < 4 / anchors**0.5


@pytest.mark.parametrize("mean", [0.0, 0.02, 1.3, 30.0, 4000.0])
def test_words_decide_as_the_distribution_function_does(mean: float) -> None:
    count_W, border_C = _table(mean)
    law = stats.poisson(mean)
    assert torch.allclose(border_C / 2**16, torch.from_numpy(law.cdf(range(len(border_C)))), rtol=0, atol=1e-13)
    assert border_C[-1] == 2**16
    word_W = torch.arange(2**16, dtype=torch.float64)
    for within in (0.0, 0.5, 1 - 2**-20):
        exact_W = torch.searchsorted(border_C, word_W + within, right=True)
        assert (exact_W == count_W)[count_W >= 0].all()
    assert (count_W < 0).sum() <= len(border_C)
    assert (count_W < 0).any() == (mean > 0)
