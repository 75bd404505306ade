"""The slots of a sweep: worker groups of Ray Train that stay, each held by a `TorchTrainer` in a thread here."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray._private.state import state as ray_state
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig

from search_spaces.policies import SlotClass
from sweeps.refusals import Refusal
from sweeps.slots.cluster import alone, ray_files
from sweeps.slots.errors import SlotsLostError
from sweeps.slots.losses import Losses
from sweeps.slots.pool import NAMESPACE, start_pool
from sweeps.slots.trainer import SlotTrainer
from trainables.ray_worker import LoopConfig, train_loop

log = logging.getLogger(__name__)

TRIAL_FUNCTION = "trainables.loop:run_trial"
PREPARE_FUNCTION = "trainables.preparing:prepare"

#: How long `close` waits for slots; one whose worker was just lost needs some 10 s to come back and hear of the end.
CLOSE_SECONDS = 60.0


@dataclass(frozen=True)
class SlotPlan:
    """The slots of a sweep, class by class, and the functions that their workers call, each "module:function".

    Every class says how many it has. `run_trial` trains a trial, and one that makes no progress for `deadline_s`
    seconds is ended; `prepare`, where there is one, is called before the first with the config of a trial of the sweep,
    `example` (`trainables.ray_worker.Prepare`).
    """

    kinds: Sequence[SlotClass]
    deadline_s: float | None = None
    run_trial: str = TRIAL_FUNCTION
    prepare: str | None = None
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> dict[int, int]:
        """The place in `kinds` of each slot's class, by the slot's number."""
        places = [place for place, kind in enumerate(self.kinds) for _ in range(int(kind.slots))]
        return dict(enumerate(places))

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.classes)

    def check_fits(self) -> None:
        """Raise `Refusal` if the cluster cannot hold all slots at once: the last would wait for the first to end.

        Where nodes come and go, it must be able to hold one of each class; the others wait for their place.
        """
        there: dict[str, float] = ray.cluster_resources()
        there |= ray_state.get_max_resources_from_cluster_config() or {}  # where an autoscaler brings nodes
        if alone():
            _refuse_beyond(there, [(kind, int(kind.slots)) for kind in self.kinds])
        for kind in self.kinds:
            _refuse_beyond(there, [(kind, 1)])


def _refuse_beyond(there: Mapping[str, float], asked: Sequence[tuple[SlotClass, int]]) -> None:
    for resource in dict.fromkeys(name for kind, _ in asked for name in kind.per_worker()):
        each = [(slots, kind.workers, kind.per_worker().get(resource, 0)) for kind, slots in asked]
        total, has = sum(slots * workers * amount for slots, workers, amount in each), there.get(resource, 0)
        if total > has:
            told = " and ".join(
                f"{slots} slots of {workers} workers with {amount:g} {resource}"
                for slots, workers, amount in each
                if amount
            )
            raise Refusal(
                f"{told} need {total:g} {resource}, but the cluster has {has:g}: ask for fewer slots, or for less per "
                "worker"
            )


def scaling(kind: SlotClass) -> ScalingConfig:
    """The worker group of one slot, as Ray Train asks for it."""
    return ScalingConfig(
        num_workers=kind.workers, use_gpu=kind.gpus_per_worker > 0, resources_per_worker=kind.per_worker()
    )


class Slots:
    """Slots that run, and the pool (`pool`, an actor handle; `pool_name`) that feeds them.

    `workspace` is the sweep's storage folder. `session` must be new for each start: Ray Train would otherwise resume
    what an earlier run of the same name left.
    """

    def __init__(self, plan: SlotPlan, sweep: str, session: str, workspace: str) -> None:
        plan.check_fits()
        self.plan, self.workspace = plan, workspace
        self.name = f"{sweep}-{session}"
        self.pool_name = f"{self.name}-pool"
        self.pool: Any = start_pool(self.pool_name, deadline_s=plan.deadline_s, classes=plan.classes)
        self.failures: dict[int, str] = {}
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, args=(slot,), name=f"slot-{slot}", daemon=True)
            for slot in range(plan.slots)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Slots":
        """Slots that are closed on the way out."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close them; after an error nobody waits for what they still do."""
        self._closing = True
        if kind is None:
            self.close()

    def lost(self) -> bool:
        """Whether every slot failed for good."""
        return len(self.failures) == self.plan.slots

    def check(self) -> None:
        """Raise `SlotsLostError` if every slot failed for good."""
        if self.lost():
            raise SlotsLostError("; ".join(f"slot {slot}: {why}" for slot, why in sorted(self.failures.items())))

    def progress(self) -> dict[int, str]:
        """What the slots do that have not come to a trial yet; empty while the pool does not answer."""
        try:
            snapshot = ray.get(self.pool.snapshot.remote(), timeout=1)
        except ray.exceptions.RayError:
            return {}
        return dict(snapshot["progress"])

    def close(self) -> None:
        """Let idle workers leave at once and busy ones at their next report, and wait for them."""
        self._closing = True
        try:
            ray.get(self.pool.close.remote("the slots were closed"))
        except ray.exceptions.RayError as error:
            log.warning("the pool of %s is gone: %s", self.name, error)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, slot: int) -> None:
        """Keep one slot until it is closed; note why if it ends before."""
        try:
            self._trainer(slot).fit()
            why = ray.get(self.pool.snapshot.remote())["problems"].get(slot, "its workers left before the end")
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if not self._closing:
            self._fail(slot, why)

    def _fail(self, slot: int, why: str) -> None:
        log.warning("slot %d of %s is lost: %s", slot, self.name, why)
        self.failures[slot] = why
        self.pool.vacate.remote(slot)
        if self.lost():
            self.pool.close.remote("every slot was lost")

    def _trainer(self, slot: int) -> SlotTrainer:
        kind = self.plan.kinds[self.plan.classes[slot]]
        workers = [self.plan.kinds[place].workers for place in self.plan.classes.values()]
        loop_config = LoopConfig(
            pool=self.pool_name,
            namespace=NAMESPACE,
            slot=slot,
            first_share=sum(workers[:slot]),
            shares=sum(workers),
            threads=kind.cpus_per_worker,
            gpus=kind.gpus_per_worker,
            deadline_s=self.plan.deadline_s,
            workspace=self.workspace,
            prepare=self.plan.prepare,
            example=dict(self.plan.example),
            run_trial=self.plan.run_trial,
        )
        return SlotTrainer(
            train_loop,
            pool=self.pool_name,
            train_loop_config=dict(loop_config),
            scaling_config=scaling(kind),
            torch_config=TorchConfig(backend="gloo" if kind.workers == 1 else None),  # one worker needs no NCCL
            run_config=RunConfig(
                name=f"{self.name}-slot-{slot}",
                storage_path=ray_files(),
                failure_config=_failures(),
                callbacks=[Losses(self.pool_name, slot)],  # type: ignore[list-item]  # V1 to mypy
            ),
        )


def _failures() -> FailureConfig:
    """Lost workers cost their trial an attempt, not the slot its life.

    A group that has no place waits for one where nodes may come; on a machine of its own that is an error.
    """
    return FailureConfig(max_failures=-1, controller_failure_limit=3 if alone() else -1)  # type: ignore[call-arg]  # V1 to mypy
