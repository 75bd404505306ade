"""Ray Train's trainer without what no slot uses: each of these is a process that imports half of Ray."""

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy

from sweeps.slots.cluster import alone

#: Shards of Ray Data, of which trials read none; and a guard that frees the room of a dead controller for the next
#: worker group, where a slot without its controller has ended and there is no next one.
UNUSED = (DatasetsCallback, PlacementGroupCleanerCallback)


class SlotTrainer(TorchTrainer):
    """A `TorchTrainer` that starts its controller, its workers and what synchronises them, and nothing else.

    It departs from its base at two private points of Ray, whose version is pinned for that too.
    """

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()  # type: ignore[misc]  # V1 to mypy
        return [each for each in callbacks if not isinstance(each, UNUSED)]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        if alone():
            settings["scaling_policy"] = AllThereIs(self.scaling_config)  # type: ignore[arg-type]  # V1 to mypy
        return super()._initialize_and_run_controller(**settings)  # type: ignore[misc]  # V1 to mypy


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
