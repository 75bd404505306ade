"""What holds for every sampler of negatives."""

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor

from tests.contracts.families import NAMED
from tests.trainables.trials import small, unit_rows
from trainables.base import Config
from trainables.protocols import Draws, Rows

each_sampler = pytest.mark.parametrize("member", NAMED["negatives"], ids=lambda member: member.__name__)
#: As in a ring that is not full yet: rows of no sample, and samples that have several rows.
SAMPLES = torch.tensor([3, -1, 0, 3, 1, 0, -1, 2])
LIKELY = 1e-3  # a seeded draw below this probability is no accident


def draw(member: type[Config], sample_B: Tensor, count: int, seed: int = 0) -> Draws:
    rows = Rows(unit_rows(len(SAMPLES), 4, 1), unit_rows(len(SAMPLES), 4, 2), SAMPLES)
    drawn: Draws = small(member).build().draw(sample_B, rows, count, torch.Generator().manual_seed(seed))
    return drawn


@each_sampler
def test_never_draws_the_anchors_own_sample(member: type[Config]) -> None:
    sample_B = torch.arange(5)  # 4 has no row at all
    drawn = draw(member, sample_B, 500)
    assert drawn.row_BK.shape == drawn.logq_BK.shape == (5, 500)
    assert (SAMPLES[drawn.row_BK] != sample_B.unsqueeze(1)).all()
    assert drawn.candidates_B.tolist() == [6, 7, 7, 6, 8]
    assert not drawn.logq_BK.requires_grad


@each_sampler
def test_draws_with_the_probability_that_it_states(member: type[Config]) -> None:
    draws = 20_000
    drawn = draw(member, torch.tensor([3]), draws)
    counts = torch.bincount(drawn.row_BK[0], minlength=len(SAMPLES))
    probability = torch.zeros(len(SAMPLES), dtype=torch.float64)
    probability[drawn.row_BK[0]] = drawn.logq_BK[0].double().exp()
    possible = probability > 0
    assert probability.sum().item() == pytest.approx(1, abs=1e-6)
    expected = draws * probability[possible] / probability.sum()
    assert chisquare(counts[possible].numpy(), expected.numpy()).pvalue > LIKELY


@each_sampler
def test_draws_are_independent_of_the_one_before(member: type[Config]) -> None:
    row_K = draw(member, torch.tensor([3]), 20_001).row_BK[0]
    table = torch.zeros(len(SAMPLES), len(SAMPLES))
    table.index_put_((row_K[:-1], row_K[1:]), torch.ones(20_000), accumulate=True)
    possible = SAMPLES != 3
    assert chi2_contingency(table[possible][:, possible].numpy()).pvalue > LIKELY


@each_sampler
def test_anchors_draw_independently_of_each_other(member: type[Config]) -> None:
    row_BK = draw(member, torch.tensor([3, 3]), 20_000).row_BK
    table = torch.zeros(len(SAMPLES), len(SAMPLES))
    table.index_put_((row_BK[0], row_BK[1]), torch.ones(20_000), accumulate=True)
    possible = SAMPLES != 3
    assert chi2_contingency(table[possible][:, possible].numpy()).pvalue > LIKELY


@each_sampler
def test_is_a_function_of_its_generator(member: type[Config]) -> None:
    sample_B = torch.arange(4)
    first, again, other = (draw(member, sample_B, 50, seed).row_BK for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
