"""What several tests of sweeps share."""

from collections.abc import Iterator

import pytest

from tests.postgresql import postgresql


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server's database."""
    with postgresql() as url:
        yield url
