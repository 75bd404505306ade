"""Ledgers of every schema version there was are read, and resumed by today's driver (`fixtures/README.md`)."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from sweeps.constraints import constraints_of
from sweeps.front import front
from sweeps.ledger.errors import LedgerCorrupt
from sweeps.ledger.history import History
from sweeps.ledger.schema import SCHEMA_VERSION, ledger_url, open_engine
from sweeps.ledger.store import Ledger
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import facts, run_out

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "version-1", tmp_path / "old"))


def test_there_is_one_of_every_older_version() -> None:
    assert sorted(path.name for path in FIXTURES.glob("version-*")) == [
        f"version-{version}" for version in range(1, SCHEMA_VERSION)
    ]


def test_an_old_ledger_is_read_as_it_is(old: Path) -> None:
    before = (old / "ledger.db").read_bytes()
    with Ledger.open(old) as ledger:
        history = History.of(ledger.events())
        goals, constraints = ledger.spec["file"]["goals"], constraints_of(ledger.spec["file"])
        assert (ledger.version, ledger.integrity_check()) == (1, [])
        assert (ledger.count(after=40), len(list(ledger.events(after=40)))) == (1, 1)
    assert history.counts() == {"waiting": 1, "running": 0, "complete": 7, "pruned": 1, "failed": 0}
    assert [trial.number for trial in front(history.trials.values(), goals, constraints)] == [3, 6, 5, 7]
    assert (old / "ledger.db").read_bytes() == before


def test_an_old_ledger_is_resumed_and_is_of_this_version_then(old: Path) -> None:
    before, slot = facts(old), PlainSlot(formula)
    with driving(old, smoke("budget.trials=12"), slot) as driver:
        assert driver.ledger.version == SCHEMA_VERSION
        run_out(driver, slot)
        assert sum(driver.ledger.history.counts().values()) == 12
    after = facts(old)
    assert [after[number] for number in range(8)] == before[:8]
    assert after[8][:2] == before[8][:2]
    with Ledger.open(old) as ledger:
        assert (ledger.version, ledger.integrity_check()) == (SCHEMA_VERSION, [])


def test_a_reader_of_the_old_one_reads_on_while_it_is_brought_up_to_date(old: Path) -> None:
    with Ledger.open(old) as reader, Ledger.open(old) as driver:
        before = list(reader.events())
        driver.claim()
        assert (reader.version, driver.version) == (1, SCHEMA_VERSION)
        assert list(reader.events()) == list(driver.events()) == before


def test_what_was_damaged_before_there_was_a_chain_is_not_chained(old: Path) -> None:
    engine = open_engine(ledger_url(old))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM events WHERE key = 'planned/3'"))
    engine.dispose()
    with Ledger.open(old) as ledger, pytest.raises(LedgerCorrupt, match="the trial must have been planned"):
        ledger.claim()
    with Ledger.open(old) as ledger:
        assert ledger.version == 1
