"""Where ledgers lie in tests: in a folder, and in PostgreSQL."""

import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

Location = Path | str


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """A place for a ledger, with nothing there yet."""
    if request.param == "sqlite":
        return tmp_path / "sweep"
    url: str = request.getfixturevalue("server")
    name = f"sweep_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")
