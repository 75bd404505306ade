"""The policy that follows estimates of mutual information."""

import itertools

import pytest

from trainables.policies.mi_guided import MIGuided
from trainables.protocols import Decision, Estimates

POLICY = MIGuided(every=7, temperature=4.0, least_negatives=0.2)


def test_asks_for_estimates_as_often_as_it_says() -> None:
    assert POLICY.estimates_every == 7


def test_spends_little_while_nothing_is_known() -> None:
    nothing = Decision(temperature=1.0, negatives=0.2, sharpness=0.0, contrast=1.0)
    assert POLICY.decide(0.0, None) == nothing
    assert POLICY.decide(0.0, Estimates(-0.3, -2.0, 3.0)) == nothing
    assert POLICY.decide(0.0, Estimates(0.0, 0.0, 0.0)) == nothing  # one image: nothing can be told apart


def test_decisions_worked_out_by_hand() -> None:
    decided = POLICY.decide(0.25, Estimates(source=3.0, target=1.0, ceiling=4.0))
    assert decided.sharpness == 0.75
    assert decided.negatives == pytest.approx(0.2 + 0.8 * 0.75)
    assert decided.temperature == pytest.approx(4.0**0.5)
    assert decided.contrast == 1.0
    assert POLICY.decide(0.875, Estimates(3.0, 1.0, 4.0)).negatives == pytest.approx(0.2 + 0.8 * 0.875)


def test_a_solved_source_gets_all_negatives_and_full_sharpness() -> None:
    for target, temperature in ((-1.0, 4.0), (0.0, 4.0), (2.0, 1.0), (5.0, 1.0)):
        solved = POLICY.decide(0.0, Estimates(5.0, target, 2.0))
        assert solved == Decision(temperature=temperature, negatives=1.0, sharpness=1.0, contrast=1.0)


def test_compute_that_is_left_is_spent_at_the_end() -> None:
    assert POLICY.decide(1.0, None).negatives == 1.0
    shares = [POLICY.decide(step / 100, Estimates(1.0, 0.0, 4.0)).negatives for step in range(101)]
    assert shares[:26] == [shares[0]] * 26  # a quarter is known: nothing more is due in the first quarter
    assert all(before < after for before, after in itertools.pairwise(shares[25:]))


def test_more_known_is_never_fewer_or_softer_negatives_and_less_carried_over_never_a_lower_temperature() -> None:
    for source, more in itertools.pairwise(range(-2, 8)):
        less_known, more_known = (POLICY.decide(0.1, Estimates(float(known), 0.0, 5.0)) for known in (source, more))
        assert more_known.negatives >= less_known.negatives
        assert more_known.sharpness >= less_known.sharpness
        assert more_known.temperature >= less_known.temperature
    for target, more in itertools.pairwise(range(-2, 8)):
        less_carried, more_carried = (POLICY.decide(0.1, Estimates(4.0, float(told), 5.0)) for told in (target, more))
        assert more_carried.temperature <= less_carried.temperature
