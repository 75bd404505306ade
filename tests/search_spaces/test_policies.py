"""Parts of a sweep file that work something out."""

import pytest

from search_spaces.policies import Resources, SlotClass


@pytest.mark.parametrize(
    ("resources", "slots"),
    [
        (Resources(), 8),
        (Resources(workers=2, cpus_per_worker=3), 1),
        (Resources(gpus_per_worker=0.5), 4),
        (Resources(cpus_per_worker=64), 1),
        (Resources(slots=32), 32),
        (Resources(slots=3, custom_per_worker={"h100": 0.001}, memory_gb=80), 3),
    ],
)
def test_slots_are_as_many_as_have_room_or_as_were_asked_for(resources: Resources, slots: int) -> None:
    assert resources.slots_in(cpus=8, gpus=2) == slots
    (kind,) = resources.kinds()
    assert (kind.workers, kind.slots_in(8, 2), kind.per_worker()) == (resources.workers, slots, resources.per_worker())


def test_classes_stand_by_what_a_slot_has_in_all() -> None:
    half = SlotClass(slots=8, gpus_per_worker=0.5, memory_gb=40)
    whole = SlotClass(slots=2, gpus_per_worker=1, memory_gb=80)
    four = SlotClass(slots=1, workers=4, gpus_per_worker=1, memory_gb=80)
    resources = Resources(classes={"four": four, "half": half, "whole": whole})
    assert resources.kinds() == [half, whole, four]
    assert resources.devices(11) == 8 * 0.5 + 2 + 4
    assert Resources(gpus_per_worker=0.5).devices(11) == 5.5
