"""What slots ask of Ray Train, for whole GPUs, shares of one and several: no GPU is needed to say so."""

from typing import Any

import pytest

from search_spaces.policies import SlotClass
from sweeps.slots.slots import SlotPlan, scaling

GOLDEN: dict[str, tuple[SlotClass, dict[str, Any]]] = {
    "CPUs": (
        SlotClass(cpus_per_worker=3),
        {"num_workers": 1, "use_gpu": False, "resources_per_worker": {"CPU": 3}},
    ),
    "half a GPU": (
        SlotClass(gpus_per_worker=0.5),
        {"num_workers": 1, "use_gpu": True, "resources_per_worker": {"CPU": 1, "GPU": 0.5}},
    ),
    "a whole GPU": (
        SlotClass(gpus_per_worker=1, cpus_per_worker=8),
        {"num_workers": 1, "use_gpu": True, "resources_per_worker": {"CPU": 8, "GPU": 1}},
    ),
    "four workers with a GPU each": (
        SlotClass(workers=4, gpus_per_worker=1),
        {"num_workers": 4, "use_gpu": True, "resources_per_worker": {"CPU": 1, "GPU": 1}},
    ),
    "two GPUs on a node of one kind": (
        SlotClass(gpus_per_worker=2, custom_per_worker={"h100": 0.001}),
        {"num_workers": 1, "use_gpu": True, "resources_per_worker": {"CPU": 1, "GPU": 2, "h100": 0.001}},
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_scaling_config_of_a_slot(name: str) -> None:
    kind, expected = GOLDEN[name]
    asked: Any = scaling(kind)  # V1 to mypy
    assert {key: getattr(asked, key) for key in expected} == expected
    assert (asked.placement_strategy, asked.label_selector, asked.accelerator_type) == ("PACK", None, None)


def test_slots_are_numbered_class_by_class() -> None:
    plan = SlotPlan([SlotClass(slots=2, gpus_per_worker=0.5), SlotClass(slots=1, workers=2, gpus_per_worker=1)])
    assert (plan.slots, plan.classes) == (3, {0: 0, 1: 0, 2: 1})
