"""A backup is one moment of a ledger in use, whole and sound, and never in the place of something else."""

import sqlite3
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.ledger.backup import backup
from sweeps.ledger.errors import BackupRefused, LedgerCorrupt
from sweeps.ledger.store import Ledger
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import facts, run_out


def test_a_copy_while_a_driver_writes_is_a_beginning_of_what_it_wrote(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "sweep", "sweep", {}) as ledger:
        ledger.claim()
        stop = threading.Event()

        def write() -> None:
            trial = 0
            while not stop.is_set():
                for event in stories.trial_story(trial, 0.5):
                    ledger.append(event)
                trial += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            with Ledger.open(tmp_path / "sweep") as reader:
                counts = [backup(reader, tmp_path / f"copy-{number}") for number in range(8)]
        finally:
            stop.set()
            writer.join()
        written = list(ledger.events())
    assert len(written) > counts[-1] > counts[0], "nothing was written meanwhile"
    for number, count in enumerate(counts):
        folder = tmp_path / f"copy-{number}"
        assert [path.name for path in folder.iterdir()] == ["ledger.db"]
        with Ledger.open(folder) as copy:
            assert list(copy.events()) == written[:count]
            assert copy.integrity_check() == []


def test_a_sweep_goes_on_from_its_copy_as_it_would_have(tmp_path: Path) -> None:
    slot, loaded = PlainSlot(formula), smoke("budget.trials=12")
    with driving(tmp_path / "swept", loaded, slot) as driver:
        run_out(driver, slot, 5)
        driver.next_trial()
        with Ledger.open(tmp_path / "swept") as reader:
            backup(reader, tmp_path / "restored")
        run_out(driver, slot, 0)
    for folder in ("swept", "restored"):
        with driving(tmp_path / folder, loaded, slot) as driver:
            run_out(driver, slot)
    assert facts(tmp_path / "restored") == facts(tmp_path / "swept")


def test_nothing_is_replaced(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "sweep", "sweep", {}) as ledger:
        (tmp_path / "copy").mkdir()
        (tmp_path / "copy" / "notes.txt").write_text("mine")
        (tmp_path / "file").write_text("mine")
        for taken in ("copy", "file", "sweep"):
            with pytest.raises(BackupRefused, match=r"replaces nothing.*Name a new folder"):
                backup(ledger, tmp_path / taken)
        (tmp_path / "empty").mkdir()
        assert backup(ledger, tmp_path / "empty") == 0
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["notes.txt"]


def test_a_damaged_ledger_is_not_copied(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "sweep", "sweep", {}) as ledger:
        ledger.claim()
        for event in stories.trial_story(0, 0.5):
            ledger.append(event)
    database = sqlite3.connect(tmp_path / "sweep" / "ledger.db")
    database.execute("UPDATE events SET body = replace(body, '0.5', '0.6') WHERE kind = 'ended'")
    database.commit()
    database.close()
    with Ledger.open(tmp_path / "sweep") as ledger, pytest.raises(LedgerCorrupt, match="restore an earlier backup"):
        backup(ledger, tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []


def test_the_command_copies_or_says_why_not(tmp_path: Path) -> None:
    Ledger.create(tmp_path / "sweep", "sweep", {}).close()

    def invoke() -> tuple[int, str]:
        arguments = ["backup", "sweep", str(tmp_path / "copy"), "--storage", str(tmp_path)]
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, done.output

    assert invoke() == (0, f"0 events in {tmp_path / 'copy'}, checked\n")
    code, said = invoke()
    assert code == 2
    assert "replaces nothing" in said
