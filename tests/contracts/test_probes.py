"""What holds for every probe."""

from typing import Any

import pytest
import torch

from tests.contracts.families import PROBES
from trainables.protocols import ProbeSplit

each_probe = pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)


def split(samples: int, seed: int, signal: float) -> ProbeSplit:
    """Three classes; `signal` deviations between their means."""
    generator = torch.Generator().manual_seed(seed)
    label_N = 6 + torch.arange(samples) % 3  # of a transfer set: they need not start at 0
    features_NF = torch.randn(samples, 5, generator=generator)
    features_NF[torch.arange(samples), label_N - 6] += signal
    return ProbeSplit(features_NF, label_N)


@each_probe
def test_measures_what_it_declares_as_a_share(probe: Any) -> None:
    measured = probe(split(60, 0, 1.0), split(45, 1, 1.0))
    assert tuple(measured) == probe.measures
    assert isinstance(probe.at_rungs, bool)
    for share in measured.values():
        assert isinstance(share, float)
        assert 1 / 3 < share < 1


@each_probe
def test_knows_what_is_plain_and_guesses_what_is_noise(probe: Any) -> None:
    assert set(probe(split(60, 0, 30.0), split(45, 1, 30.0)).values()) == {1.0}
    for share in probe(split(60, 0, 0.0), split(3000, 1, 0.0)).values():
        assert share == pytest.approx(1 / 3, abs=0.06)


@each_probe
def test_held_out_samples_are_judged_one_by_one_and_learned_nothing_from(probe: Any) -> None:
    train, held_out = split(60, 0, 1.0), split(90, 1, 1.0)
    halves = [ProbeSplit(held_out.features_NF[half], held_out.label_N[half]) for half in (slice(0, 45), slice(45, 90))]
    whole, first, second = (probe(train, queries) for queries in (held_out, *halves))
    for measure, share in whole.items():
        assert share == pytest.approx((first[measure] + second[measure]) / 2, abs=1e-9)


@each_probe
def test_answers_twice_the_same(probe: Any) -> None:
    train, held_out = split(60, 0, 1.0), split(45, 1, 1.0)
    assert probe(train, held_out) == probe(train, held_out)
