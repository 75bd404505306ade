"""A disk that is full at some size: a clear end, nothing torn, and a sweep that goes on once there is room again.

The most that a file may hold stands for the disk (RLIMIT_FSIZE).
"""

import os
import random
import resource
import signal
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from sweeps.ledger.errors import LedgerError
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.slots.records import Job
from tests.faults.lengths import count, length
from tests.sweeps.plain_slot import PlainSlot, driving, smoke
from tests.sweeps.test_driver import run_out
from tests.trainables.trials import timeless
from trainables.loop import run_trial
from trainables.outcomes import Outcome, Report, StorageFull
from trainables.world import SingleWorld

SIZES = length(4, 50)
SWEEP = smoke("budget.trials=4", "stop.minimum=2")
ENDS = ["done", "checkpoints or teacher", "ledger"]
KIB = 1024


def sweep_in(folder: Path) -> None:
    """The whole sweep, or what is left of it, without Ray: trials, checkpoints, teacher and its outputs, ledger."""

    def train(job: Job, report: Report) -> Outcome:
        return run_trial(job.config, trial=job.trial, workspace=str(folder), report=report, world=SingleWorld())

    slot = PlainSlot(train)
    with driving(folder, SWEEP, slot) as driver:
        run_out(driver, slot)


def within(size: int, folder: Path) -> str:
    """How that ends in a process of its own, whose files may hold so many bytes."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        code = 9
        try:
            sweep_in(folder)
            code = 0
        except StorageFull:
            code = 1
        except (OperationalError, LedgerError):
            code = 2
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) < len(ENDS), "it must end with one of the errors that say so"
    return ENDS[os.WEXITSTATUS(status)]


def facts(folder: Path) -> list[tuple[Any, ...]]:
    with Ledger.open(folder) as ledger:
        trials = History.of(ledger.events()).trials.values()
    return [(t.number, t.config, t.state, timeless(t.metrics), t.weights_digest) for t in trials]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("twin") / "sweep"
    sweep_in(folder)
    return facts(folder)


@pytest.mark.timeout(1800)
def test_a_full_disk_ends_a_sweep_that_goes_on_when_there_is_room(twin: list[tuple[Any, ...]], tmp_path: Path) -> None:
    chance, ends, begun = random.Random(11), Counter[str](), 0
    sizes = [1 * KIB, 8 * KIB, *(chance.randrange(4 * KIB, 90 * KIB) for _ in range(SIZES - 2))]
    for number, size in enumerate(sizes):
        folder = tmp_path / str(number) / "sweep"
        end = within(size, folder)
        ends[end] += 1
        left = [file for file in folder.parent.rglob("*.tmp") if file.stat().st_size]
        assert not left, "half a file takes room that somebody needs"
        begun += (folder / "ledger.db").exists() and bool(facts(folder))
        sweep_in(folder)
        assert facts(folder) == twin, f"{size} bytes, {end}"
    count("P6 disk full", sizes=SIZES, **ends, begun_a_trial=begun, torn=0)
    assert ends["done"] < SIZES / 2, "the disk was never full"
    assert ends["ledger"]
    assert ends["checkpoints or teacher"]
    assert begun
