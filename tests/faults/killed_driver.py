"""A driver that is killed: what its process does until then. Everything is real but the slot, which trains nothing."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 (a driver loads it for its first suggestion)
from mlflow import MlflowClient

from sweeps.driver import Driver
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.search.study import StudySearch
from sweeps.slots.records import Job
from sweeps.tracking.mirror import MlflowWriter
from sweeps.tracking.of_sweep import tracking
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.outcomes import Outcome, Report, RungReport, Verdict

REPORT_S = 0.05  # how long a trial of this slot takes from one rung to the next
TRIALS_TO_DIE_IN = 4
MISSED = 7  # exit code

#: Behind which calls a driver dies, by name: the class, its method, and whether its answer is one to die behind.
FAILPOINTS: dict[str, tuple[type, str]] = {
    "claim": (Ledger, "claim"),
    "ask": (StudySearch, "ask"),
    "append": (Ledger, "append"),
    "tell": (StudySearch, "tell"),
    "report": (Driver, "_report"),
    "create_run": (MlflowClient, "create_run"),
    "log_batch": (MlflowClient, "log_batch"),
    "set_terminated": (MlflowClient, "set_terminated"),
}

# So that one that is forked from this module has its first trial at once: networks are counted once a process.
for corner in smoke().space.corners():
    planned_metrics(TrialConfig.model_validate(corner))


def settings(trials: int) -> tuple[str, ...]:
    """Of the sweep that is driven: the shipped smoke sweep, as long as this."""
    return (f"budget.trials={trials}", "stop.minimum=4")


def slow(job: Job, report: Report) -> Outcome:
    """As `formula`, but a kill has time to fall into it."""

    def later(rung: RungReport) -> Verdict:
        time.sleep(REPORT_S)
        return report(rung)

    return formula(job, later)


def drive(storage: Path, trials: int, failpoint: str | None, calls: int, said: Connection) -> None:
    """Drive the sweep on, to its end if nobody kills this process; at `failpoint` it kills itself, behind a call.

    If it does not come there within a few trials it leaves, with `MISSED`. It says when it is ready, and of each trial
    that it is in one.
    """
    most = math.inf
    if failpoint is not None:
        _die_behind(*FAILPOINTS[failpoint], calls)
        most = TRIALS_TO_DIE_IN

    def train(job: Job, report: Report) -> Outcome:
        said.send("in a trial")
        return slow(job, report)

    slot, loaded = PlainSlot(train), smoke(*settings(trials))
    with driving(storage / "sweep", loaded, slot) as driver:
        spec = driver.ledger.spec
        writer = MlflowWriter(storage / "sweep", tracking("sweep", spec, Results(str(storage))), interval_s=0.01)
        said.send("ready")
        done = 0
        while done < most and (job := driver.next_trial()):
            slot.run(driver, job)
            done += 1
        writer.drain(60)
        if not driver.finished:
            sys.exit(MISSED)


def _die_behind(owner: type, method: str, calls: int) -> None:
    original: Callable[..., Any] = getattr(owner, method)
    left = calls

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        answer = original(*arguments, **named)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, method, deadly)
