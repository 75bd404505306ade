"""A sweep that is submitted many times at once is there once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sweeps import session
from sweeps.ledger.errors import LedgerExists
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from tests.sweeps.plain_slot import smoke


def test_of_ten_submissions_at_once_one_makes_the_sweep(tmp_path: Path) -> None:
    loaded = smoke()

    def submit(_: int) -> str:
        try:
            session.create(loaded, Results(str(tmp_path)), "same")
        except LedgerExists:
            return "exists"
        return "created"

    with ThreadPoolExecutor(10) as pool:
        answers = sorted(pool.map(submit, range(10)))
    assert answers == ["created", *["exists"] * 9]
    assert [path.name for path in tmp_path.iterdir()] == ["same"]
    with Ledger.open(tmp_path / "same") as ledger:
        assert ledger.spec["file"] == loaded.file.to_json()
        assert list(ledger.events()) == []
