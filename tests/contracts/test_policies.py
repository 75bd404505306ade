"""What holds for every policy."""

import math
from dataclasses import astuple
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.families import NAMED
from trainables.protocols import Decision, Estimates, PolicyMember

each_policy = pytest.mark.parametrize("member", NAMED["policies"], ids=lambda member: member.__name__)

PROGRESS = (0.0, 1e-9, 0.3, 0.5, 0.999, 1.0)
KNOWN = [
    None,
    *(Estimates(source, target, 4.0) for source, target in product((-50.0, -0.1, 0.0, 1.0, 4.0, 50.0), repeat=2)),
]

nats = st.floats(allow_nan=False, allow_infinity=False)
estimates_or_none = st.none() | st.builds(Estimates, nats, nats, st.floats(0, allow_infinity=False))


def settings_of(member: type[PolicyMember]) -> list[Any]:
    """The defaults, and every numeric field at its bounds."""
    found: list[Any] = [member()]
    for name, field in member.model_fields.items():
        for bound in field.metadata:
            for limit, nudge in (("ge", 0.0), ("gt", 1e-300), ("le", 0.0)):
                if hasattr(bound, limit):
                    value = getattr(bound, limit)
                    found.append(member.model_validate({name: value + nudge if nudge else value}))
    return found


@each_policy
@settings(deadline=None, derandomize=True)
@given(progress=st.floats(0, 1), known=estimates_or_none)
def test_decides_something_possible_whatever_is_known(
    member: type[PolicyMember], progress: float, known: Estimates | None
) -> None:
    for policy in settings_of(member):
        decision: Decision = policy.decide(progress, known)
        assert all(isinstance(factor, float) and math.isfinite(factor) for factor in astuple(decision))
        assert decision.temperature > 0
        assert 0 < decision.negatives <= 1
        assert decision.sharpness >= 0
        assert decision.contrast >= 0


@each_policy
def test_remembers_nothing(member: type[PolicyMember]) -> None:
    for policy in settings_of(member):
        states = list(product(PROGRESS, KNOWN))
        there = [policy.decide(*state) for state in states]
        back = [policy.decide(*state) for state in reversed(states)]
        assert there == back[::-1]
        assert there == [member.model_validate(policy.to_json()).decide(*state) for state in states]


@each_policy
def test_asks_for_estimates_if_it_looks_at_them_and_only_then(member: type[PolicyMember]) -> None:
    policy: Any = member()
    looks = any(len({policy.decide(progress, known) for known in KNOWN}) > 1 for progress in PROGRESS)
    assert (policy.estimates_every > 0) == looks


@each_policy
def test_says_that_it_is_a_reconstruction(member: type[PolicyMember]) -> None:
    text = member.__doc__ or ""
    assert "Lengerich et al. 2022 (arXiv 2212.11353)" in text
    assert "Departures: reconstruction" in text
