"""Parts of a sweep file that work something out."""

import pytest

from search_spaces.policies import Resources


@pytest.mark.parametrize(
    ("resources", "slots"),
    [
        (Resources(), 8),
        (Resources(workers=2, cpus_per_worker=3), 1),
        (Resources(gpus_per_worker=0.5), 4),
        (Resources(cpus_per_worker=64), 1),
        (Resources(slots=32), 32),
    ],
)
def test_slots_are_as_many_as_have_room_or_as_were_asked_for(resources: Resources, slots: int) -> None:
    assert resources.slots_in(cpus=8, gpus=2) == slots
