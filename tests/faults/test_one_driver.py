"""One driver at a time, in real processes: of many that start at once one wins, and one that froze writes no more."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import update

from sweeps.ledger import schema
from sweeps.ledger.errors import FenceLost, SweepTaken
from sweeps.ledger.store import Ledger
from tests.sweeps import stories

DRIVERS = 20
ROUNDS = 20

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["sweeps.ledger.store", "tests.sweeps.stories"])


def claim(location: Path, at: float, answer: Connection) -> None:
    with Ledger.open(location) as ledger:
        while time.time() < at:
            pass
        try:
            ledger.claim()
            answer.send("won")
        except SweepTaken:
            answer.send("refused")
        answer.recv()  # and the one that won holds it


def lock_without_fence(_: Ledger, connection: DatabaseConnection) -> None:
    """Begin a transaction as the ledger does, by a write, whoever claimed the sweep last."""
    connection.execute(update(schema.SWEEP).values(fence=schema.SWEEP.c.fence))


def drive(location: Path, fenced: bool, answer: Connection) -> None:
    """Append for ever, and say why it ended."""
    if not fenced:
        Ledger._hold_fence = lock_without_fence  # type: ignore[method-assign, assignment]
    with Ledger.open(location) as ledger:
        ledger.claim()
        first = len(ledger.history.trials)
        answer.send("drives")
        try:
            for trial in range(first, first + 100_000):
                ledger.append(stories.planned(trial))
                time.sleep(0.02)  # in which it may be frozen between writes
        except FenceLost:
            answer.send("refused")
        except Exception as error:
            answer.send(f"{type(error).__name__}: {error}")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    Ledger.create(tmp_path, "sweep", {}).close()
    return tmp_path


def test_of_twenty_drivers_at_once_one_wins(sweep: Path) -> None:
    at = time.time() + 5
    ours, drivers = [], []
    for _ in range(DRIVERS):
        here, there = _processes.Pipe()
        driver = _processes.Process(target=claim, args=(sweep, at, there))
        driver.start()
        ours.append(here)
        drivers.append(driver)
    answers = Counter(here.recv() for here in ours)
    for here, driver in zip(ours, drivers, strict=True):
        here.send("leave")
        driver.join()
    assert answers == {"won": 1, "refused": DRIVERS - 1}


@contextmanager
def frozen_between_writes(sweep: Path, pid: int) -> Iterator[Ledger]:
    """Another driver, in the place of one that was stopped.

    One that was stopped in the middle of a write cannot be replaced before it has gone on, and the other is told so.
    """
    while True:
        time.sleep(0.05)
        os.kill(pid, signal.SIGSTOP)
        # The lock of a frozen process is held. It is replaced where its lock does not reach: from another host.
        (sweep / "ledger.db.lock").unlink(missing_ok=True)
        with Ledger.open(sweep) as other:
            try:
                other.claim()
            except SweepTaken:
                os.kill(pid, signal.SIGCONT)
                continue
            yield other
            return


def frozen_and_woken(sweep: Path, fenced: bool) -> tuple[str, int]:
    """What a driver says that was stopped while it wrote, replaced and woken; how many events it wrote after that."""
    here, there = _processes.Pipe()
    driver = _processes.Process(target=drive, args=(sweep, fenced, there))
    driver.start()
    assert driver.pid
    try:
        assert here.recv() == "drives"
        with frozen_between_writes(sweep, driver.pid) as other:
            before = other.count()
            os.kill(driver.pid, signal.SIGCONT)
            said = here.recv() if here.poll(20 if fenced else 1) else "goes on"
            return said, other.count() - before
    finally:
        driver.kill()
        driver.join()


def test_a_driver_that_was_frozen_replaced_and_woken_is_refused(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_WAIT_FOR_LOCK_S", 0.2)
    written = [0]
    for _ in range(ROUNDS):
        said, after = frozen_and_woken(sweep, fenced=True)
        assert (said, after) == ("refused", 0)
        with Ledger.open(sweep) as ledger:
            written.append(ledger.count())
            assert ledger.integrity_check() == []
    assert written == sorted(set(written)), "one of them was frozen before it had written"


def test_a_mutant_without_the_fence_writes_on(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_WAIT_FOR_LOCK_S", 0.2)
    said, after = frozen_and_woken(sweep, fenced=False)
    assert said == "goes on"
    assert after > 0
