"""How much is tried: `make faults` sets FAULTS=long and tries as often as is promised, `make test` less often."""

import os

import pytest

LONG = os.environ.get("FAULTS") == "long"


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether to try as often as is promised."""
    return LONG
