"""A ledger that was cut or in which a bit was flipped: said so, or every event of it is what was written."""

import random
from collections import Counter
from pathlib import Path

import pytest

from sweeps.ledger.errors import LedgerCorrupt, LedgerError, LedgerTooNew, NotALedger
from sweeps.ledger.store import Ledger
from sweeps.refusals import refusals
from tests.faults.lengths import count, length
from tests.sweeps import stories

CUTS, FLIPS = length(40, 200), length(80, 400)
SPEC = {"file": {"goals": stories.GOALS}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with Ledger.create(folder, "sweep", SPEC) as ledger:
        ledger.claim()
        ledger.append(stories.opened())
        for trial in range(12):
            for event in stories.trial_story(trial, 0.5):
                ledger.append(event)
        ledger.append(stories.closed())
    return folder


def outcome(damaged: Path, whole: Path) -> str:
    """What a driver and a reader make of a damaged ledger: the class of what is said, or that it harms nobody."""
    with Ledger.open(whole) as ledger:
        true = list(ledger.events())
    error = None
    try:
        with Ledger.open(damaged) as ledger:
            read = list(ledger.events())
            ledger.claim()
            assert (ledger.sweep, ledger.spec) == ("sweep", SPEC)
            ledger.append(stories.planned(99))
            assert [event.key for _, _, event in ledger.events()] == [*(e.key for _, _, e in true), "planned/99"]
    except LedgerError as said:
        error = said
    if error:
        with pytest.raises(SystemExit, match="6"), refusals():
            raise error
        return type(error).__name__
    assert read == true
    return "harmless"


def damaged(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    (folder / "ledger.db").write_bytes(content)
    return folder


def test_every_cut_is_found(whole: Path, tmp_path: Path) -> None:
    content, dice = (whole / "ledger.db").read_bytes(), random.Random(0)
    anywhere = [dice.randrange(len(content)) for _ in range(CUTS // 2)]
    at_pages = [0, *(4096 * dice.randrange(len(content) // 4096) for _ in range(CUTS // 2 - 1))]
    found = Counter(outcome(damaged(tmp_path / "cut", content[:size]), whole) for size in anywhere + at_pages)
    assert set(found) <= {LedgerCorrupt.__name__, NotALedger.__name__}
    assert found.total() == CUTS
    count("P7 ledger cut", **found)


def test_every_flipped_bit_is_found_or_harms_nobody(whole: Path, tmp_path: Path) -> None:
    content, dice = (whole / "ledger.db").read_bytes(), random.Random(1)
    found: Counter[str] = Counter()
    for number in range(FLIPS):
        bit = dice.randrange(8 * (len(content) if number % 5 else 100))  # every fifth in the file's header
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        found[outcome(damaged(tmp_path / "flipped", bytes(flipped)), whole)] += 1
    assert set(found) <= {"harmless", LedgerCorrupt.__name__, NotALedger.__name__, LedgerTooNew.__name__}
    assert found["LedgerCorrupt"] > FLIPS / 4
    assert found["NotALedger"] > FLIPS / 40
    count("P7 ledger, bit flipped", **found)


def test_every_flip_in_an_event_is_found(whole: Path, tmp_path: Path) -> None:
    """There is no harmless one: SQLite itself sees nothing of them, which is why events are chained."""
    content, dice = (whole / "ledger.db").read_bytes(), random.Random(2)
    begin = content.index(b'{"kind": "reported", "trial": 7')
    for _ in range(FLIPS // 4):
        bit = dice.randrange(8 * begin, 8 * (begin + 150))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        assert outcome(damaged(tmp_path / "event", bytes(flipped)), whole) == "LedgerCorrupt"


def test_a_mutant_without_the_chain_reads_another_metric(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "_check_link", lambda *_: None)
    content = (whole / "ledger.db").read_bytes()
    changed = content.replace(b'"transfer/knn_top1": 0.5}', b'"transfer/knn_top1": 0.7}', 1)
    with pytest.raises(AssertionError):
        outcome(damaged(tmp_path / "mutant", changed), whole)
