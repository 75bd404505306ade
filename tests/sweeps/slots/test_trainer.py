"""What a slot's trainer leaves out of what the pinned Ray Train starts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.scaling_policy import ResizeDecision

from sweeps.slots.trainer import UNUSED, AllThereIs, SlotTrainer


def callbacks_of(trainer: Callable[..., Any], folder: Path) -> set[type]:
    run_config = RunConfig(name="a", storage_path=str(folder))
    made = trainer(lambda: None, scaling_config=ScalingConfig(num_workers=1), run_config=run_config)  # V1 to mypy
    return {type(callback) for callback in made._create_default_callbacks()}


def test_a_slot_has_all_callbacks_of_train_but_those_it_has_no_use_for(tmp_path: Path) -> None:
    plain, slot = (callbacks_of(trainer, tmp_path) for trainer in (TorchTrainer, partial(SlotTrainer, pool="pool")))
    assert slot == plain - set(UNUSED)
    assert set(UNUSED) < plain, "Ray has changed: look whether slots are still without them"


def test_a_machine_alone_asks_no_autoscaler_and_wants_its_workers_all_the_same() -> None:
    policy = AllThereIs(ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1}))  # type: ignore[arg-type]
    policy.after_controller_start(None)
    decision = policy.make_decision_for_non_running_worker_group()
    assert isinstance(decision, ResizeDecision)
    assert (decision.num_workers, policy._coordinator_client) == (2, None)
