"""Ray Train's trainer without the actors that no slot has a use for: each is a process that imports half of Ray."""

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

#: Shards of Ray Data, of which trials read none; and a guard that frees the room of a dead controller for the next
#: worker group, where a slot without its controller has ended and there is no next one.
UNUSED = (DatasetsCallback, PlacementGroupCleanerCallback)


class SlotTrainer(TorchTrainer):
    """A `TorchTrainer` that starts its controller, its workers and what synchronises them."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()  # type: ignore[misc]  # V1 to mypy
        return [each for each in callbacks if not isinstance(each, UNUSED)]
