"""Finished sweeps of real trials, trained in this process and recorded as a driver records them; and changed copies."""

import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search_spaces.sweep_file import SweepFile
from sweeps.confirmation import plan
from sweeps.confirmation.replication import Replication
from sweeps.driver import Driver
from sweeps.events import Event, Opened
from sweeps.ledger.store import Ledger
from sweeps.provenance import code_digest, environment
from sweeps.reproduction.code_state import keep_patch
from sweeps.results import Results
from sweeps.slots.records import Job
from sweeps.tracking.mirror import sync
from sweeps.tracking.of_sweep import tracking
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, smoke
from tests.sweeps.test_driver import run_out
from trainables.config import TrialConfig
from trainables.loop import run_trial
from trainables.outcomes import Outcome, Report
from trainables.storage import Storage
from trainables.world import SingleWorld


def finish(storage: Path, sweep: str, *overrides: str) -> None:
    """The smoke sweep, of one worker, in a ledger and in MLflow."""
    folder, loaded = storage / sweep, smoke(*overrides)
    slot = training_slot(folder)
    with driving(folder, loaded, slot, opened=recorded(folder)) as driver:
        run_out(driver, slot)
        driver.ledger.append(stories.closed(1))
        spec = driver.ledger.spec
    sync(folder, tracking(sweep, spec, Results(str(storage))))


def confirm(storage: Path, sweep: str, seeds: int) -> None:
    """The sweep's confirmation, from its begin to its end."""
    with Ledger.open(storage / sweep) as ledger:
        folder = storage / plan.create(ledger, Results(str(storage)), seeds)
    slot = training_slot(folder)
    with Ledger.open(folder) as ledger:
        fence = ledger.claim()
        ledger.append(Opened(fence=fence, **recorded(folder)))
        search = Replication(ledger.spec[plan.CONFIRMS], plan.aims_of(ledger.spec))
        run_out(Driver(ledger, SweepFile.model_validate(ledger.spec["file"]), search, 1, slot), slot)
        ledger.append(stories.closed(fence))


def training_slot(folder: Path) -> PlainSlot:
    """Trains the trials of the sweep in this folder, in this process."""

    def train(job: Job, report: Report) -> Outcome:
        return run_trial(job.config, trial=job.trial, workspace=str(folder), report=report, world=SingleWorld())

    return PlainSlot(train)


def recorded(folder: Path) -> dict[str, Any]:
    """What a driver of the smoke sweep records of itself here."""
    return {
        "host": socket.gethostname(),
        "pid": 1,
        "code_digest": code_digest(),
        "data_digest": TrialConfig.model_validate({"task": {"name": "digits", "copies": 1}}).task.load().digest,
        "environment": environment(),
        "patch": keep_patch(Storage(str(folder))),
    }


def at_times(events: Iterable[Event]) -> Iterator[tuple[int, datetime, Event]]:
    """As a ledger gives them."""
    yield from ((seq, datetime(2026, 1, 1, 0, 0, seq, tzinfo=UTC), event) for seq, event in enumerate(events, start=1))


def copy_changed(storage: Path, sweep: str, changed: str, change: Callable[[Event], Event]) -> None:
    """A whole and consistent ledger beside another one, whose events are changed: as if that had happened."""
    with Ledger.open(storage / sweep) as source:
        Ledger.create(storage / changed, changed, source.spec).close()
        with Ledger.open(storage / changed) as target:
            target.claim()
            for _, _, event in source.events():
                target.append(change(event))
