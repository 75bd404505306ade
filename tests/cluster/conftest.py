"""The services of a cluster, once for all of its tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.services import Services, services


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Two nodes with one core each, and what a sweep writes to."""
    folder: Path = tmp_path_factory.mktemp("services")
    with services(folder, nodes=2) as found:
        yield found
