"""Annealing: where it starts, where it ends, and how it moves in between."""

import itertools
import math
from dataclasses import astuple
from typing import Literal

import pytest

from trainables.policies.anneal import Anneal
from trainables.protocols import Decision

Shape = Literal["linear", "cosine"]
ENDS = {"temperature": 0.5, "negatives": 0.25, "sharpness": 3.0, "contrast": 0.0}
each_shape = pytest.mark.parametrize("shape", ["linear", "cosine"])


def to_the_ends(shape: Shape) -> Anneal:
    return Anneal.model_validate({"shape": shape, **ENDS})


@each_shape
def test_starts_at_the_config_and_ends_where_it_says(shape: Shape) -> None:
    policy = to_the_ends(shape)
    assert policy.decide(0.0, None) == Decision()
    assert policy.decide(1.0, None) == Decision(**ENDS)
    assert policy.estimates_every == 0


def test_moves_evenly_or_along_half_a_cosine() -> None:
    linear, cosine = to_the_ends("linear"), to_the_ends("cosine")
    assert astuple(linear.decide(0.25, None)) == pytest.approx((0.875, 0.8125, 1.5, 0.75))
    moved = (1 - math.sqrt(0.5)) / 2
    assert astuple(cosine.decide(0.25, None)) == pytest.approx(
        (1 - 0.5 * moved, 1 - 0.75 * moved, 1 + 2 * moved, 1 - moved)
    )
    assert astuple(cosine.decide(0.5, None)) == pytest.approx(astuple(linear.decide(0.5, None)))


@each_shape
def test_never_turns_back(shape: Shape) -> None:
    policy = to_the_ends(shape)
    for before, after in itertools.pairwise(policy.decide(step / 500, None) for step in range(501)):
        assert after.temperature < before.temperature
        assert after.negatives < before.negatives
        assert after.sharpness > before.sharpness
        assert after.contrast < before.contrast


@each_shape
def test_a_factor_that_ends_at_one_stays_there(shape: Shape) -> None:
    policy = Anneal(shape=shape, temperature=1.0)
    assert {policy.decide(step / 997, None) for step in range(998)} == {Decision()}


@each_shape
def test_some_negatives_are_left_however_few(shape: Shape) -> None:
    assert Anneal(shape=shape, negatives=1e-300).decide(1.0, None).negatives > 0
