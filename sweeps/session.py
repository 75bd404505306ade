"""One driver's hold on a sweep, from its claim on the ledger to the last record: what `run` and `resume` do."""

import os
import signal
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import ray
import torch

from search_spaces.draws import CornerDraw
from search_spaces.policies import Resources
from search_spaces.space import Space
from search_spaces.sweep_file import LoadedSweep, SweepFile, trial_space
from sweeps.driver import Driver
from sweeps.events import Closed, Opened
from sweeps.ledger.store import Ledger
from sweeps.live import LiveView
from sweeps.mirroring import tracking
from sweeps.provenance import code_digest, environment
from sweeps.refusals import Refusal
from sweeps.search.study import Search
from sweeps.slots.cluster import start_ray
from sweeps.slots.slots import PREPARE_FUNCTION, SlotPlan, Slots, SlotsLostError
from sweeps.slots.tuning import TuneFailedError, run_trials
from sweeps.tracking import MlflowWriter, tracking_uri
from sweeps.tune_adapters import DriverScheduler, DriverSearcher, SlotPool
from trainables.config import TrialConfig
from trainables.evidence import Task
from trainables.loop import TEACHERS
from trainables.storage import Storage
from trainables.teacher import load_teacher

_PATIENCE_SECONDS = 3.0  # with an MLflow that refuses already
_DRAIN_SECONDS = {"done": 60.0, "interrupted": 3.0, "error": 3.0}  # what is not in MLflow by then, `sync` brings there

Reason = Literal["done", "interrupted", "error"]


class SweepChanged(Refusal):
    """A sweep cannot be resumed with other code or data than it began with."""


class Stopped(Exception):
    """A sweep could not go on. What it has is kept, and it can be resumed."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM: `signum`."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@dataclass(frozen=True)
class _Sweep:
    """What a sweep's ledger says it is. `example` is one of its trials; the task is that of all."""

    file: SweepFile
    space: Space
    example: TrialConfig
    task: Task

    @classmethod
    def of(cls, ledger: Ledger) -> "_Sweep":
        file = SweepFile.model_validate(ledger.spec["file"])
        space = trial_space(file.trial, file.resources)
        example = TrialConfig.model_validate(space.suggest(CornerDraw(False, {})))
        return cls(file, space, example, example.task.load())


def create(loaded: LoadedSweep, storage: Path, sweep: str) -> None:
    """The ledger of a new sweep, with its file. Raises `LedgerExists`, and `Refusal` for what could never run here."""
    _check_place(storage)
    _check_room(loaded.file.resources)
    spec = {"file": loaded.file.to_json(), "source": loaded.source, "overrides": list(loaded.overrides)}
    Ledger.create(storage / sweep, sweep, spec).close()


def drive(storage: Path, sweep: str, *, accept_changed_code: bool = False) -> bool:
    """Hold the sweep and train until it is done, if it is not; a signal ends it before, and it can be resumed.

    The answer is whether MLflow holds all of it; what it lacks, `sweeps.tracking.sync` brings there.

    Raises `SweepTaken` while another driver holds it, `SweepChanged` if code or data are not what it began with,
    `Interrupted`, and `Stopped` when slots or Tune cannot go on. After these two Ray runs on until the process ends.
    """
    with Ledger.open(storage / sweep) as ledger:
        fence = ledger.claim()
        if ledger.history.closed == "done":
            return True
        described = _Sweep.of(ledger)
        _check_unchanged(ledger, described.task, accept_changed_code)
        writer = MlflowWriter(storage / sweep, tracking(ledger.sweep, ledger.spec, storage))
        reason: Reason = "error"
        try:
            ledger.append(_opened(fence, described.task))
            with _signals_interrupt() as check, LiveView(storage / sweep, writer) as view:
                _train(ledger, described, storage, check, view)
            reason = "done"
        except Interrupted:
            reason = "interrupted"
            raise
        except (SlotsLostError, TuneFailedError) as error:
            raise Stopped(f"{error}. Nothing is lost; when that is mended: python -m sweeps resume {sweep}") from error
        finally:
            ledger.append(Closed(fence=fence, reason=reason))
            mirrored = writer.drain(_PATIENCE_SECONDS if writer.last_error else _DRAIN_SECONDS[reason])
        ray.shutdown()  # not after an error: slots are still at work, and Ray aborts a process whose threads need it
        return mirrored


def _check_place(storage: Path) -> None:
    tracking_uri(storage)
    try:
        storage.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=storage):
            pass
    except OSError as error:
        raise Refusal(f"--storage must be a folder to write in, and {storage} is not: {error}. Give another") from error


def _check_room(resources: Resources) -> None:
    """What every slot needs at once, against this machine: slots that wait for each other would train nothing."""
    slots = 1 if resources.slots == "auto" else resources.slots
    for name, each, there in (
        ("cpus", resources.cpus_per_worker, os.cpu_count() or 1),
        ("gpus", resources.gpus_per_worker, torch.cuda.device_count()),
    ):
        needed = slots * resources.workers * each
        if needed > there:
            raise Refusal(
                f"slots run at the same time, and {slots} slots x {resources.workers} workers x {each:g} {name} are "
                f"{needed:g} {name}, where this machine has {there}. Lower slots, workers or {name}_per_worker"
            )


def _train(ledger: Ledger, sweep: _Sweep, storage: Path, check: Callable[[], None], view: LiveView) -> None:
    # The teacher is trained while Ray starts, once, instead of by every slot that finds none.
    cache = Storage(str(storage)).folder(TEACHERS)
    teacher = ThreadPoolExecutor(1).submit(load_teacher, sweep.example.teacher, sweep.task, cache)
    start_ray()
    check()
    workspace = str((storage / ledger.sweep).resolve())  # workers have working directories of their own
    with Slots(_plan(sweep), ledger.sweep, uuid.uuid4().hex[:8], workspace) as slots:
        view.preparing = slots.progress
        search = Search(sweep.space, sweep.file.goals, sweep.file.search)
        driver = Driver(ledger, sweep.file, search, slots.plan.slots, SlotPool(slots))
        teacher.result()
        run_trials(DriverSearcher(driver, check), DriverScheduler(driver), slots)


def _plan(sweep: _Sweep) -> SlotPlan:
    resources = sweep.file.resources
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # ray leaves it untyped
    by_cpu = there.get("CPU", 0) / (resources.workers * resources.cpus_per_worker)
    by_gpu = (
        there.get("GPU", 0) / (resources.workers * resources.gpus_per_worker) if resources.gpus_per_worker else by_cpu
    )
    room = max(1, int(min(by_cpu, by_gpu)))
    return SlotPlan(
        slots=room if resources.slots == "auto" else resources.slots,
        workers=resources.workers,
        cpus_per_worker=resources.cpus_per_worker,
        gpus_per_worker=resources.gpus_per_worker,
        prepare=PREPARE_FUNCTION,
        example=sweep.example.to_json(),
    )


def _opened(fence: int, task: Task) -> Opened:
    return Opened(
        fence=fence,
        host=socket.gethostname(),
        pid=os.getpid(),
        code_digest=code_digest(),
        data_digest=task.digest,
        environment=environment(),
    )


def _check_unchanged(ledger: Ledger, task: Task, accept_changed_code: bool) -> None:
    if not ledger.history.sessions:
        return
    first = ledger.history.sessions[0].opened
    if first.data_digest != task.digest:
        raise SweepChanged(
            f"a sweep keeps its data: '{ledger.sweep}' began with data digest {first.data_digest}, this is "
            f"{task.digest}. Restore the data, or start a new sweep"
        )
    if first.code_digest != code_digest() and not accept_changed_code:
        raise SweepChanged(
            f"a sweep keeps its code: '{ledger.sweep}' began at commit {first.environment['git_commit'] or 'unknown'} "
            f"with code digest {first.code_digest}, this is {code_digest()}. Check that commit out, start a new sweep, "
            "or pass --accept-changed-code"
        )


@contextmanager
def _signals_interrupt() -> Iterator[Callable[[], None]]:
    """The first SIGINT or SIGTERM raises `Interrupted`; a second one ends the process at once.

    Gives a function to call now and then, which raises it again: code that was interrupted may have swallowed it.
    """
    received: list[int] = []

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    def interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        received.append(signum)
        for name in before:
            signal.signal(name, signal.SIG_DFL)
        raise Interrupted(signum)

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
        check()
    except BaseException as error:
        if received:  # inside Ray's compiled code the exception of a handler comes out as a SystemError
            raise Interrupted(received[0]) from error
        raise
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
