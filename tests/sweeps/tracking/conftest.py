"""A ledger and an MLflow for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.sweeps.tracking.place import Place


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty MLflow database: making one takes seconds, copying it none."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path.read_bytes()


@pytest.fixture
def place(tmp_path: Path, database: bytes) -> Iterator[Place]:
    """A new ledger, and that database beside it."""
    (tmp_path / "mlflow.db").write_bytes(database)
    made = Place(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    yield made
    made.ledger.close()
