"""One driver's hold on a sweep, from its claim on the ledger to the last record: what `run` and `resume` do."""

import math
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

import ray
import torch
from sqlalchemy.exc import OperationalError

from search_spaces.policies import Budget, Resources
from search_spaces.sweep_file import LoadedSweep
from sweeps.described import Described
from sweeps.events import Budgeted, Closed, Opened
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.live import LiveView
from sweeps.provenance import code_digest, environment
from sweeps.refusals import Refusal
from sweeps.reproduction.code_state import keep_patch
from sweeps.results import Results
from sweeps.signals import Interrupted, Signals, listening
from sweeps.slots.address import HERE, RayAt
from sweeps.slots.cluster import start_ray
from sweeps.slots.errors import SlotsLostError, TuneFailedError
from sweeps.spending import in_force, larger, seconds_left
from sweeps.tracking.login import check_login
from sweeps.tracking.mirror import MlflowWriter, Tracking
from sweeps.tracking.of_sweep import tracking
from sweeps.tracking.uri import tracking_uri
from sweeps.watch import watched
from trainables import json_log
from trainables.evidence import Task
from trainables.outcomes import DamagedFile, NewerFile, StorageFull
from trainables.storage import Storage

NO_MORE: Mapping[str, float] = MappingProxyType({})

#: A sweep is asked to end so long before its time is up: Tune and the slots take a while to let go.
_LETTING_GO_S = 5.0

#: And it is gone so long before: the end of a process takes a moment too.
_LEAVING_S = 0.5

#: How long a sweep that is interrupted before it began waits for its data, without which no session can be told of.
_LOADING_S = 4.0

_PATIENCE_SECONDS = 3.0  # with an MLflow that refuses already
#: For what is not in MLflow yet; `sync` brings the rest there. Where time is up, devices are held meanwhile.
_DRAIN_SECONDS = {"done": 60.0, "stopped": 1.0, "interrupted": 3.0, "error": 3.0}

Reason = Literal["done", "stopped", "interrupted", "error"]


class SweepChanged(Refusal):
    """A sweep cannot be resumed with other code or data than it began with."""


class Stopped(Exception):
    """A sweep could not go on. What it has is kept, and it can be resumed."""

    exit_code = 4


class Damaged(Stopped):
    """It could not, since a stored file is not what was written; the message says which, and what to do."""

    exit_code = 6


def create(loaded: LoadedSweep, results: Results, sweep: str, *, here: bool = True) -> None:
    """The ledger of a new sweep, with its file. Raises `LedgerExists`, and `Refusal` for what could never run.

    `here` says that it is meant for this machine, whose room is known.
    """
    results.check()
    check_login(tracking_uri(results))
    if here:
        _check_room(loaded.file.resources)
    results.refuse_links(sweep)
    results.make()
    spec = {"file": loaded.file.to_json(), "source": loaded.source, "overrides": list(loaded.overrides)}
    Ledger.create(results.ledger(sweep), sweep, spec).close()


def drive(
    results: Results,
    sweep: str,
    ray_at: RayAt = HERE,
    *,
    accept_changed_code: bool = False,
    budget: Mapping[str, float] = NO_MORE,
) -> bool:
    """Hold the sweep and train until it is done, if it is not; a signal ends it before, and it can be resumed.

    `budget` is what it is given over its file's budget, and over what it was given before. The answer is whether MLflow
    holds all of it; what it lacks, `sweeps.tracking.mirror.sync` brings there.

    Raises `SweepTaken` while another driver holds it, `SweepChanged` if code or data are not what it began with,
    `Refusal` for a budget that is none, `Interrupted`, and `Stopped` when slots or Tune cannot go on, storage is full
    or the budget does not let end what was begun. After these two Ray runs on until the process ends.
    """
    json_log.start(sweep=sweep)
    with Ledger.open(results.ledger(sweep)) as ledger:
        mirror = tracking(ledger.sweep, ledger.spec, results)  # refused before it is claimed
        fence = ledger.claim()
        within = in_force(Budget.model_validate(ledger.spec["file"]["budget"]), ledger.history)
        if budget:
            within = larger(within, budget, ledger.history)
        elif ledger.history.closed == "done":
            return True
        if seconds_left(within, ledger.history, datetime.now(UTC)) <= _LETTING_GO_S:  # it would only start and leave
            raise Stopped(_out_of_time(f"{sweep}{results.flag}"))
        hold = _Hold(ledger, fence, Storage(results.folder(sweep)))
        with listening(lambda: hold.close("interrupted")) as signals:
            return _held(
                hold,
                results,
                mirror,
                within,
                budget,
                _start(hold, ray_at, accept_changed_code, signals),
                signals,
            )


class _Hold:
    """A driver's session: its data, which is loaded from now on, its first record and its last."""

    def __init__(self, ledger: Ledger, fence: int, folder: Storage) -> None:
        self.ledger, self.fence, self.folder = ledger, fence, folder
        self.loading = ThreadPoolExecutor(1).submit(Described.by, ledger)

    def open(self, devices: float) -> None:
        """The first record of the session."""
        self.ledger.append(_opened(self.fence, self.loading.result().task, devices, keep_patch(self.folder)))

    def close(self, reason: Reason) -> None:
        """The last record; one that a signal ends as it begins has its first here, too, if its data is known by now."""
        sessions = self.ledger.history.sessions
        if not sessions or sessions[-1].opened.fence != self.fence:
            if not wait([self.loading], _LOADING_S).done or self.loading.exception():
                return
            self.open(self.loading.result().file.resources.devices(1))
        self.ledger.append(Closed(fence=self.fence, reason=reason))


def _held(
    hold: _Hold,
    results: Results,
    mirror: Tracking,
    within: Budget,
    budget: Mapping[str, float],
    started: tuple[Described, float],
    signals: Signals,
) -> bool:
    """Train what is left while signals are heard."""
    ledger, named = hold.ledger, f"{hold.ledger.sweep}{results.flag}"
    described, devices = started
    from sweeps.training import train  # loaded by now, while Ray started

    writer = MlflowWriter(ledger.location, mirror)
    reason: Reason = "error"
    try:
        with signals.obeyed():
            hold.open(devices)
            if budget:
                ledger.append(Budgeted(fence=hold.fence, budget=dict(budget)))
        left_s = seconds_left(within, ledger.history, datetime.now(UTC))
        with (
            watched(named, hold.close, left_s - _LEAVING_S, _out_of_time(named)),
            signals.obeyed(left_s - _LETTING_GO_S),
            LiveView(ledger.location, writer) as view,
        ):
            cut = train(ledger, described, results, signals.check, view)
        reason = "stopped" if cut else "done"
        if cut:
            writer.flush(_DRAIN_SECONDS["done"])
            raise Stopped(_cut(named, cut))
    except Interrupted as interrupt:
        if interrupt.signum == signal.SIGALRM:
            reason = "stopped"
            raise Stopped(_out_of_time(named)) from interrupt
        reason = "interrupted"
        raise
    except (DamagedFile, NewerFile) as error:
        raise Damaged(error.message) from error
    except (SlotsLostError, TuneFailedError, StorageFull, OperationalError) as error:
        raise Stopped(f"{error}. Nothing is lost; when that is mended: python -m sweeps resume {named}") from error
    finally:
        with suppress(OperationalError):  # no room to say so: then it counts as killed
            hold.close(reason)
        mirrored = writer.drain(_PATIENCE_SECONDS if writer.last_error else _DRAIN_SECONDS[reason])
    ray.shutdown()  # not after an error: slots are still at work, and Ray aborts a process whose threads need it
    return mirrored


def _out_of_time(named: str) -> str:
    return (
        "a sweep holds its devices no longer than its budget says, and that time is used up. To go on: "
        f"python -m sweeps resume {named} --budget wall_hours=..., or device_hours, or money"
    )


def _cut(named: str, cut: Sequence[int]) -> str:
    return (
        "a trial goes on only where the budget has room for all that is left of it, and it has none for "
        f"{', '.join(f'trial {number}' for number in cut)}, begun before an interruption. To finish: "
        f"python -m sweeps resume {named} --budget cost_s=..., say; python -m sweeps status {named} shows the caps"
    )


def _check_room(resources: Resources) -> None:
    """What every slot needs at once, against this machine: slots that wait for each other would train nothing."""
    kinds = [(1 if kind.slots == "auto" else kind.slots, kind) for kind in resources.kinds()]
    for name, there in (("cpus", os.cpu_count() or 1), ("gpus", torch.cuda.device_count())):
        each = [(slots, kind.workers, getattr(kind, f"{name}_per_worker")) for slots, kind in kinds]
        needed = sum(math.prod(factors) for factors in each)
        if needed > there:
            told = " and ".join(f"{slots} slots x {workers} workers x {of:g} {name}" for slots, workers, of in each)
            raise Refusal(
                f"slots run at the same time, and {told} are {needed:g} {name}, where this machine has {there}. Lower "
                f"slots, workers or {name}_per_worker"
            )


def _start(hold: _Hold, ray_at: RayAt, accept_changed_code: bool, signals: Signals) -> tuple[Described, float]:
    """Start Ray while the sweep's data is loaded: what the sweep is, and how many devices it holds.

    What must be refused is refused before. A signal does not end the session without a word.
    """
    ledger = hold.ledger
    try:
        with signals.obeyed():
            if ledger.history.sessions:
                check_unchanged(ledger.sweep, ledger.history, hold.loading.result().task, accept_changed_code)
            start_ray(ray_at.gcs(), open_cluster=ray_at.open_cluster)
            described = hold.loading.result()
            from sweeps.training import plan

            return described, described.file.resources.devices(plan(described).slots)
    except Interrupted:
        hold.close("interrupted")
        raise


def _opened(fence: int, task: Task, devices: float, patch: str | None) -> Opened:
    return Opened(
        fence=fence,
        host=socket.gethostname(),
        pid=os.getpid(),
        code_digest=code_digest(),
        data_digest=task.digest,
        environment=environment(),
        devices=devices,
        patch=patch,
    )


def check_unchanged(sweep: str, history: History, task: Task, accept_changed_code: bool) -> None:
    """Raise `SweepChanged` if code or data are not what the sweep began with."""
    if not history.sessions:
        return
    first = history.sessions[0].opened
    if first.data_digest != task.digest:
        raise SweepChanged(
            f"a sweep keeps its data: '{sweep}' began with data digest {first.data_digest}, this is "
            f"{task.digest}. Restore the data, or start a new sweep"
        )
    if first.code_digest != code_digest() and not accept_changed_code:
        raise SweepChanged(
            f"a sweep keeps its code: '{sweep}' began at commit {first.environment.get('git_commit') or 'unknown'} "
            f"with code digest {first.code_digest}, this is {code_digest()}. Check that commit out, start a new sweep, "
            "or pass --accept-changed-code"
        )
