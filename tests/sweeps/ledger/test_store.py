"""The ledger's promises: on the disk when `append` returns, once, in order, and by one driver only."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine.interfaces import DBAPIConnection

from sweeps.events import Event, Reported
from sweeps.ledger.errors import (
    FenceLost,
    IllegalEvent,
    LedgerCorrupt,
    LedgerExists,
    LedgerMissing,
    LedgerTooNew,
    NotALedger,
    NotClaimed,
    SweepTaken,
)
from sweeps.ledger.history import History
from sweeps.ledger.schema import METADATA, ledger_url, new_database, open_engine
from sweeps.ledger.store import Ledger
from sweeps.signals import Interrupted
from tests.sweeps import stories
from tests.sweeps.ledger.conftest import Location

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ledger(location: Location) -> Iterator[Ledger]:
    with Ledger.create(location, "sweep", {"name": "sweep"}) as made:
        made.claim()
        yield made


def rewrite(location: Location, statement: str) -> None:
    engine = open_engine(ledger_url(location))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def lose_lock(location: Location) -> None:
    """As where a lock does not reach the other host, or its session broke: its holder goes on and does not know."""
    if isinstance(location, Path):
        (location / "ledger.db.lock").unlink()
    else:
        rewrite(location, "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks WHERE locktype = 'advisory'")


def test_what_was_appended_is_read_back_in_order(ledger: Ledger) -> None:
    events = [stories.opened(), *stories.trial_story(0, 0.7), stories.closed()]
    numbers = [ledger.append(event) for event in events]
    fifth = numbers[4]
    assert fifth is not None
    with Ledger.open(ledger.location) as reader:
        assert [(seq, event) for seq, _, event in reader.events()] == list(zip(numbers, events, strict=True))
        assert [event for _, _, event in reader.events(after=fifth)] == events[5:]
        assert reader.count(after=fifth) == len(events) - 5
        assert (reader.sweep, reader.spec, reader.uid) == ("sweep", {"name": "sweep"}, ledger.uid)


def test_a_reader_pages_through_a_long_ledger(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.ledger.store._PAGE", 3)
    for trial in range(6):
        ledger.append(stories.planned(trial))
    assert [event for _, _, event in ledger.events()] == [stories.planned(trial) for trial in range(6)]


@pytest.mark.parametrize("cut", ["before its commit", "after its commit", "half known"])
def test_an_append_that_a_signal_cut_off_is_whole_or_not_there(
    ledger: Ledger, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, last = stories.opened(), stories.planned(0), stories.closed()
    apply = History.apply

    def commit(connection: DBAPIConnection) -> None:
        if cut == "after its commit":
            connection.commit()
        raise Interrupted(signal.SIGTERM)

    def half(history: History, seq: int, at: datetime, event: Event) -> None:
        apply(history, seq, at, event)
        raise Interrupted(signal.SIGTERM)

    ledger.append(first)
    with monkeypatch.context() as patch:
        if cut == "half known":
            patch.setattr(History, "apply", half)
        else:
            patch.setattr(ledger._engine.dialect, "do_commit", commit)
        with pytest.raises(Interrupted):
            ledger.append(second)
    ledger.append(last)
    written = [event for _, _, event in ledger.events()]
    assert written == ([first, last] if cut == "before its commit" else [first, second, last])
    assert vars(ledger.history) == vars(History.of(ledger.events()))


def test_the_same_key_twice_changes_nothing(ledger: Ledger) -> None:
    ledger.append(stories.planned(0))
    ledger.append(stories.started(0))
    assert ledger.append(stories.reported(0, 0, knn=0.5)) is not None
    assert ledger.append(stories.reported(0, 0, knn=0.9, attempt=2)) is None
    assert ledger.count() == 3
    assert ledger.history.trials[0].reports[0].metrics == {"transfer/knn_top1": 0.5}


def test_values_that_json_does_not_know_come_back(ledger: Ledger) -> None:
    ledger.append(stories.planned(0))
    ledger.append(stories.started(0))
    ledger.append(stories.reported(0, 0, knn=float("nan"), loss=float("-inf")))
    *_, (_, _, event) = ledger.events()
    assert isinstance(event, Reported)
    assert str(event.metrics) == "{'transfer/knn_top1': nan, 'loss': -inf}"


def test_history_of_the_writer_is_the_fold_of_what_it_wrote(ledger: Ledger) -> None:
    for event in [stories.opened(), *stories.trial_story(0, 0.7), stories.planned(1)]:
        ledger.append(event)
    assert vars(ledger.history) == vars(History.of(ledger.events()))


def test_what_cannot_be_folded_is_not_written(ledger: Ledger) -> None:
    with pytest.raises(IllegalEvent, match="started/0/1: the trial must have been planned"):
        ledger.append(stories.started(0))
    assert ledger.count() == 0
    assert ledger.append(stories.planned(0)) is not None  # the refusal left no transaction behind


def test_what_does_not_commit_never_was_tables_included(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_database(ledger_url(tmp_path)) as engine, engine.begin() as connection:  # noqa: PT012 - what is tested is the block
        METADATA.create_all(connection, checkfirst=False)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    Ledger.create(tmp_path, "sweep", {}).close()  # a creation that died half-way does not stand in the way


def test_appending_needs_a_claim(ledger: Ledger) -> None:
    with Ledger.open(ledger.location) as reader, pytest.raises(NotClaimed, match="claim"):
        reader.append(stories.planned(0))


def test_threads_append_without_gaps(ledger: Ledger) -> None:
    def work(first: int) -> None:
        for trial in range(first, first + 10):
            ledger.append(stories.planned(trial))

    threads = [threading.Thread(target=work, args=(10 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ledger.history.trials) == list(range(40))
    assert ledger.integrity_check() == []


def test_a_sweep_has_one_driver(ledger: Ledger) -> None:
    with Ledger.open(ledger.location) as other:
        with pytest.raises(SweepTaken, match=f"process {os.getpid()}"):
            other.claim()
        ledger.close()
        assert other.claim() == 2


def test_a_replaced_driver_cannot_write(ledger: Ledger) -> None:
    ledger.append(stories.planned(0))
    lose_lock(ledger.location)
    with Ledger.open(ledger.location) as other:
        assert other.claim() == 2
        with pytest.raises(FenceLost, match="token 1"):
            ledger.append(stories.planned(1))
        other.append(stories.planned(2))
        assert [event for _, _, event in other.events()] == [stories.planned(0), stories.planned(2)]


CLAIM = """
import sys, time
from sweeps.ledger.errors import SweepTaken
from sweeps.ledger.store import Ledger
ledger = Ledger.open(sys.argv[1])
while time.time() < float(sys.argv[2]): pass
try:
    print("won", ledger.claim(), flush=True)
    sys.stdin.read()
except SweepTaken:
    print("refused", flush=True)
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_of_drivers_that_start_at_once_one_wins(ledger: Ledger) -> None:
    ledger.close()
    at = str(time.time() + 3)
    drivers = [python(CLAIM, str(ledger.location), at) for _ in range(4)]
    answers = [driver.stdout.readline().split() for driver in drivers if driver.stdout]
    for driver in drivers:
        driver.communicate()
    assert sorted(answers) == [["refused"], ["refused"], ["refused"], ["won", "2"]]


def test_of_creators_at_once_one_wins(location: Location) -> None:
    results: list[str] = []
    barrier = threading.Barrier(8)

    def create() -> None:
        barrier.wait()
        try:
            with Ledger.create(location, "sweep", {}):
                results.append("created")
        except LedgerExists:
            results.append("exists")

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["created"] + ["exists"] * 7


DRIVE = """
import sys
from sweeps.ledger.store import Ledger
from tests.sweeps import stories
ledger = Ledger.open(sys.argv[1])
ledger.claim()
for trial in range(10_000):
    for event in stories.trial_story(trial, 0.5):
        if ledger.append(event) is not None:
            print(event.key, flush=True)
"""


def test_a_driver_killed_while_it_appends_loses_and_doubles_nothing(ledger: Ledger) -> None:
    ledger.close()
    dice = random.Random(0)
    told: list[str] = []
    for _ in range(6):
        with python(DRIVE, str(ledger.location)) as driver:
            assert driver.stdout
            told += [driver.stdout.readline().strip() for _ in range(10)]  # it writes by now
            time.sleep(dice.uniform(0, 0.15))
            driver.send_signal(signal.SIGKILL)
            told += driver.stdout.read().split()
    with Ledger.open(ledger.location) as after:
        assert after.integrity_check() == []
        keys = [event.key for _, _, event in after.events()]
        # Each kill may fall between a commit and the word of it, so the ledger may hold more than was told.
        assert [key for key in keys if key in set(told)] == told
        assert len(keys) - len(told) <= 6
        assert len(set(keys)) == len(keys)
        expected = [event.key for trial in range(len(keys)) for event in stories.trial_story(trial, 0.5)]
        assert keys == expected[: len(keys)]
        assert len(keys) > 50  # else the kills came before there was anything to kill


def test_a_lost_or_foreign_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match=r"no .*ledger\.db"):
        Ledger.open(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "ledger.db").write_text("this is not a database, however long it may be" * 100)
    with pytest.raises(NotALedger, match="not a database"):
        Ledger.open(tmp_path)


def test_a_newer_schema_is_refused(ledger: Ledger) -> None:
    rewrite(ledger.location, "UPDATE sweep SET schema_version = 99")
    with pytest.raises(LedgerTooNew, match="has version 99"):
        Ledger.open(ledger.location)


def test_creating_over_a_ledger_keeps_it(ledger: Ledger) -> None:
    ledger.append(stories.planned(0))
    with pytest.raises(LedgerExists, match="holds the sweep 'sweep'"):
        Ledger.create(ledger.location, "other", {})
    assert ledger.count() == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("DELETE FROM events WHERE seq = 1", r"event 2 \(started/0/1\) or one before it is not what was written"),
        ("DELETE FROM events WHERE seq = 4", r"event 5 \(reported/0/2\) or one before it"),
        ("DELETE FROM events WHERE seq > 4", "newest events are missing: the last one that is there is 4"),
        ("DELETE FROM events", "newest events are missing: none is there"),
        ("UPDATE events SET seq = 9 WHERE seq = 7", r"event 9 \(ended/0\)"),
        ("UPDATE events SET at = '2026-01-01T00:00:00+00:00' WHERE seq = 2", r"event 2 \(started/0/1\)"),
        ("UPDATE events SET trial = 1 WHERE seq = 2", r"event 2 \(started/0/1\)"),
        ("UPDATE events SET body = replace(body, '0.7', '0.8') WHERE seq = 7", r"event 7 \(ended/0\)"),
        ('UPDATE sweep SET spec = \'{"name": "other"}\'', r"event 1 \(planned/0\)"),
        ("UPDATE sweep SET head = NULL", "newest events are missing"),
    ],
)
def test_damage_is_found_and_named(ledger: Ledger, damage: str, message: str) -> None:
    for event in stories.trial_story(0, 0.7):
        ledger.append(event)
    assert ledger.integrity_check() == []
    ledger.close()
    rewrite(ledger.location, damage)
    with Ledger.open(ledger.location) as damaged:
        with pytest.raises(LedgerCorrupt, match=message):
            damaged.claim()
        assert len(damaged.integrity_check()) == 1
        with Ledger.open(ledger.location) as other, pytest.raises(LedgerCorrupt):
            other.claim()  # and not SweepTaken: a claim that failed holds nothing


def test_importing_the_ledger_loads_no_framework() -> None:
    code = (
        "import sys, sweeps.ledger.store, sweeps.front, sweeps.tracking.mirror\n"
        "print([name for name in ('ray', 'torch', 'mlflow') if name in sys.modules])"
    )
    assert python(code).communicate()[0].strip() == "[]"
