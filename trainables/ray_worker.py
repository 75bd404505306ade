"""A Ray Train worker of a slot: takes one trial after another from the pool until there is none.

The only place where a trial meets Ray. Rank 0 speaks with the pool and shares what it hears with the other ranks over a
channel of their own: a trial's collectives never mix with it, and it may wait for as long as the sweep lasts.
"""

import gc
import importlib
import math
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypedDict

import ray
import ray.train
import torch
import torch.distributed as dist

from trainables import json_log
from trainables.notice import at_work, listen, warned
from trainables.outcomes import FailureKind, Leaving, Outcome, Report, RungReport, StorageFull, TrialFailure, Verdict
from trainables.protocols import World
from trainables.watchdog import Watchdog, Watched
from trainables.world import GroupWorld, SingleWorld

#: Steps after which several workers ask each other whether one of them was warned; one asks itself before every step.
_ASKED_EVERY = 8

#: How long ranks may wait for rank 0, which waits for a trial or a verdict.
PATIENCE = timedelta(days=365)


class RunTrial(Protocol):
    """How a trial is trained: `trainables.loop.run_trial`, or a stand-in that trains nothing."""

    def __call__(
        self, config: Mapping[str, Any], *, trial: int, workspace: str, report: Report, world: World
    ) -> Outcome:
        """Train the trial from its last checkpoint, if there is one, on every rank of `world`."""


class Prepare(Protocol):
    """What a worker does before its first trial: `trainables.preparing.prepare`, or a stand-in."""

    def __call__(
        self, config: Mapping[str, Any], *, workspace: str, share: int, shares: int, progress: Callable[[str], None]
    ) -> None:
        """Do what the first trial would wait for, as worker `share` of `shares`; `progress` takes a line to show."""


class LoopConfig(TypedDict):
    """What `train_loop` is told: its pool, its slot, how to prepare for a trial like `example` and how to run one."""

    pool: str
    namespace: str
    slot: int
    first_share: int  # of what all workers of all slots prepare together
    shares: int
    threads: int
    gpus: float
    deadline_s: float | None
    workspace: str
    prepare: str | None  # "module:function"
    example: dict[str, Any]
    run_trial: str  # "module:function"


class Superseded(Exception):  # no error of the trial: another attempt took its place
    """This attempt is not the current one: drop the trial."""


class Channel:
    """What rank 0 tells the other ranks of its worker group, and what they tell each other."""

    def __init__(self, world: World) -> None:
        self.rank, self.size = world.rank, world.size
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE) if self.size > 1 else None

    def from_first(self, ask: Callable[[], Any]) -> Any:
        """What `ask` answers on rank 0; it is called there only."""
        answer = [ask() if self.rank == 0 else None]
        if self.size > 1:
            dist.broadcast_object_list(answer, src=0, group=self._group)
        return answer[0]

    def any(self, flag: bool) -> bool:
        """Whether it is set on a rank."""
        flags = torch.tensor([flag], dtype=torch.uint8)
        if self.size > 1:
            dist.all_reduce(flags, dist.ReduceOp.MAX, group=self._group)
        return bool(flags)

    def from_all(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value, group=self._group)
        return values


def train_loop(loop_config: LoopConfig) -> None:
    """Train what the pool hands out, until it hands out nothing more. The function that `TorchTrainer` runs."""
    torch.set_num_threads(loop_config["threads"])
    json_log.start(sweep=os.path.basename(loop_config["workspace"]))  # noqa: PTH119 (a URI has a last part too)
    if 0 < loop_config["gpus"] < 1 and torch.cuda.is_available():  # Ray counts shares, and lets each take it all
        torch.cuda.set_per_process_memory_fraction(loop_config["gpus"])
    world: World = GroupWorld() if ray.train.get_context().get_world_size() > 1 else SingleWorld()
    channel = Channel(world)
    pool: Any = ray.get_actor(loop_config["pool"], namespace=loop_config["namespace"])
    slot = loop_config["slot"]
    run_trial, problem = _load(loop_config["run_trial"])
    problem = problem or _prepare(loop_config, world, pool)
    problems = [other for other in channel.from_all(problem) if other]
    if run_trial is None or problems:
        ray.get(pool.give_up.remote(slot, problems[0]))
        return
    actor = ray.get_runtime_context().current_actor
    ray.get(actor.execute.remote(listen))  # in the main thread, where this is not
    workers, actors = channel.from_all(_facts()), channel.from_all(actor)
    group = channel.from_first(lambda: ray.get(pool.hello.remote(slot, workers, actors)))
    tell = partial(pool.beat.remote, slot, group) if world.rank == 0 else lambda: None
    watchdog = Watchdog(loop_config["deadline_s"], tell)
    try:
        while assignment := channel.from_first(lambda: ray.get(pool.take.remote(slot, group))):
            if assignment == "leave":
                raise Leaving
            with at_work():
                _Attempt(pool, channel, watchdog, assignment["trial"], assignment["attempt"]).train(
                    run_trial, assignment["config"], loop_config["workspace"], world
                )
    except Leaving:  # Ray Train restarts the worker group where it is not taken away
        channel.from_first(lambda: ray.get(pool.leave.remote(slot, group)))  # no rank ends before the first has told
        raise
    except StorageFull as full:  # the next trial would find no room either
        ray.get(pool.give_up.remote(slot, str(full)))
        if world.size > 1:
            raise


class _Attempt:
    """One attempt of a trial, from its assignment to its end."""

    def __init__(self, pool: Any, channel: Channel, watchdog: Watchdog, trial: int, attempt: int) -> None:
        self.pool, self.channel, self.watchdog = pool, channel, watchdog
        self.trial, self.attempt = trial, attempt
        json_log.about(trial=trial, attempt=attempt)
        self.last: RungReport | None = None
        self.asked = 0

    def train(self, run_trial: RunTrial, config: Mapping[str, Any], workspace: str, world: World) -> None:
        """Run the trial and tell the pool how it ended.

        A failure of one rank of several leaves the others inside a collective: it is told, then raised, and Ray Train
        restarts the worker group. What the others then say of the collective is no failure of the trial.
        """
        watched = Watched(world, self.watchdog, self.leaving)
        try:
            self.watchdog.beat()
            outcome = run_trial(config, trial=self.trial, workspace=workspace, report=self.report, world=watched)
            self._check_finite(outcome.step, outcome.metrics)
        except Superseded:
            return
        except (StorageFull, Leaving):
            raise
        except Exception as error:
            kind, message = classify(error)
            if kind != "worker_lost":
                self._tell_failure(kind, message)
            if world.size > 1:
                raise
        else:
            if world.rank == 0:
                self._end(asdict(outcome))
            return
        finally:
            self.watchdog.rest()
        gc.collect()  # the failure's traceback and what hung on it are gone only now

    def leaving(self) -> bool:
        """Whether a worker of the group was warned; every rank asks as often, and is told the same."""
        self.asked += 1
        if self.channel.size > 1 and self.asked % _ASKED_EVERY:
            return False
        return self.channel.any(warned())

    def report(self, report: RungReport) -> Verdict:
        """Tell the pool what was reached and wait for the verdict; every rank gets it."""
        self._check_finite(report.step, report.metrics)
        self.last = report
        payload = {"trial": self.trial, "attempt": self.attempt, **asdict(report)}
        self.watchdog.rest()  # a verdict takes as long as it takes
        verdict = self.channel.from_first(lambda: ray.get(self.pool.report.remote(payload)))
        self.watchdog.beat()
        if verdict == "superseded":
            raise Superseded
        answer: Verdict = verdict
        return answer

    def _check_finite(self, step: int, metrics: Mapping[str, float]) -> None:
        broken = {name: value for name, value in metrics.items() if not math.isfinite(value)}
        if broken:
            finite = self.last.metrics if self.last else {}
            before = {name: finite[name] for name in broken if name in finite}
            told = f" (at step {self.last.step}: {before})" if self.last and before else ""
            raise TrialFailure(
                "nan",
                f"metrics must be finite, but at step {step} there is {broken}{told}; "
                "lower optimizer.learning_rate or raise objective.temperature",
            )

    def _tell_failure(self, kind: FailureKind, message: str) -> None:
        reached = asdict(self.last) if self.last else {}
        reached.pop("rung", None)
        self._end({"state": "failed", "failure": kind, "message": message, **reached})

    def _end(self, end: dict[str, Any]) -> None:
        ray.get(self.pool.end.remote({"trial": self.trial, "attempt": self.attempt, **end}))


def classify(error: Exception) -> tuple[FailureKind, str]:
    """The class of a failure, and the last line of its error.

    `worker_lost` is said of an error of a collective: another worker of the group has died, or has failed and told why.
    """
    if isinstance(error, TrialFailure):
        return error.kind, error.message
    line = _last_line(error)
    # torch has no error class of its own for the memory of a CPU, nor for gloo
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in line:
        return "oom", line
    if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in line):
        return "worker_lost", line
    return "user_error", line


def _last_line(error: Exception) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _load(path: str) -> tuple[Any, str | None]:
    """The function named by "module:function", or why it cannot be had: Ray Train would retry an error for ever."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name), None
    except Exception as error:
        return None, f"a worker cannot load {path}: {_last_line(error)}"


def _prepare(loop_config: LoopConfig, world: World, pool: Any) -> str | None:
    """Prepare for the first trial; the answer is why that failed, if it did: an error would be retried for ever."""
    path, slot = loop_config["prepare"], loop_config["slot"]
    if path is None:
        return None
    prepare, problem = _load(path)
    if problem:
        return problem
    try:
        prepare(
            loop_config["example"],
            workspace=loop_config["workspace"],
            share=loop_config["first_share"] + world.rank,
            shares=loop_config["shares"],
            progress=lambda line: ray.get(pool.progress.remote(slot, line)),
        )
    except Exception as error:
        return f"a worker cannot prepare for its first trial: {classify(error)[1]}"
    return None


def _facts() -> dict[str, Any]:
    """The fields of `sweeps.events.Worker`."""
    context = ray.train.get_context()
    return {
        "rank": context.get_world_rank(),
        "world_size": context.get_world_size(),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "node_id": ray.get_runtime_context().get_node_id(),
        "experiment": context.get_experiment_name(),
    }
