"""Twenty steps of each objective give the losses that they gave before; if they should not, see `regenerate`."""

import pytest

from tests.contracts.families import NAMED
from tests.golden.trace import BY_SCORE, STEPS, STEPS_BY_SCORE, losses, stored
from trainables.config import TrialConfig

RELATIVE = 1e-6


@pytest.mark.parametrize("name", stored())
def test_losses_are_what_they_were(name: str) -> None:
    trace = stored()[name]
    assert len(trace["losses"]) == STEPS
    expected = trace["losses"]
    by_score = trace["config"]["negatives"]["name"] in BY_SCORE
    compared = slice(STEPS_BY_SCORE if by_score else STEPS)
    tolerance = RELATIVE * max(map(abs, expected))
    assert losses(trace["config"])[compared] == pytest.approx(expected[compared], rel=RELATIVE, abs=tolerance)


def test_every_objective_memory_and_sampler_has_a_trace_with_its_full_config() -> None:
    configs = [trace["config"] for trace in stored().values()]
    assert all(TrialConfig.model_validate(config).to_json() == config for config in configs)
    for part, family in (("objective", "objectives"), ("memory", "memory"), ("negatives", "negatives")):
        names = {member.model_fields["name"].default for member in NAMED[family]}
        assert {config[part]["name"] for config in configs} == names
