"""What several tests of sweeps share, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgresql import postgresql
from tests.sweeps.finished import finish


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server's database."""
    with postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage folder with a finished sweep, `smoke`, some of whose trials were stopped, and with its MLflow.

    Tests may add to it, and change nothing that is there.
    """
    storage = tmp_path_factory.mktemp("results")
    finish(storage, "smoke", "stop.minimum=2", "stop.keep=0.3", "budget.trials=5")
    return storage
