"""The policy that does nothing."""

import pytest

from trainables.policies.constant import Constant
from trainables.protocols import Decision, Estimates


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("estimates", [None, Estimates(1.0, 0.5, 2.0)])
def test_leaves_the_config_as_it_is(progress: float, estimates: Estimates | None) -> None:
    assert Constant().decide(progress, estimates) == Decision(1.0, 1.0, 1.0, 1.0)
    assert Constant().estimates_every == 0
