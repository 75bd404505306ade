"""Ray Train's trainer without what no slot uses: each of these is a process that imports half of Ray."""

from collections.abc import Callable
from typing import Any

import ray
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy, ScalingDecision

from sweeps.slots.cluster import alone
from sweeps.slots.pool import find_pool
from sweeps.slots.records import PoolClosedError

#: Shards of Ray Data, of which trials read none; and a guard that frees the room of a dead controller for the next
#: worker group, where a slot without its controller has ended and there is no next one.
UNUSED = (DatasetsCallback, PlacementGroupCleanerCallback)


class SlotTrainer(TorchTrainer):
    """A `TorchTrainer` that starts its controller, its workers and what synchronises them, and nothing else.

    `pool` is the name of the pool that its workers take their trials from. It departs from its base at two private
    points of Ray, whose version is pinned for that too.
    """

    def __init__(self, train_loop: Callable[..., None], *, pool: str, **settings: Any) -> None:
        super().__init__(train_loop, **settings)
        self._pool = pool

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()  # type: ignore[misc]  # V1 to mypy
        return [each for each in callbacks if not isinstance(each, UNUSED)]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        config: Any = self.scaling_config
        settings["scaling_policy"] = AllThereIs(config) if alone() else WhileOpen(config, self._pool)
        return super()._initialize_and_run_controller(**settings)  # type: ignore[misc]  # V1 to mypy


class WhileOpen(FixedScalingPolicy):
    """A worker group of a fixed size, for which a place is looked for until the pool closes, however long it takes."""

    def __init__(self, scaling_config: Any, pool: str) -> None:
        super().__init__(scaling_config)
        self._pool = pool

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        """Try to place it. Raises `PoolClosedError`, which ends the run, and ValueError when the pool is gone."""
        if closed := ray.get(find_pool(self._pool).snapshot.remote())["closed"]:
            raise PoolClosedError(closed)
        return super().make_decision_for_non_running_worker_group()


class AllThereIs(FixedScalingPolicy):
    """A worker group of a fixed size, for which no autoscaler is asked: the machine is the cluster."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """Ask for nothing."""

    async def before_controller_shutdown(self) -> None:
        """Nothing was asked for."""

    def before_controller_abort(self) -> None:
        """Nothing was asked for."""

    def _maybe_send_resource_request(self) -> None:
        pass
