"""Which class of slots a trial is for."""

import pytest

from search_spaces.policies import Resources, SlotClass
from search_spaces.slot_classes import settled
from tests.trainables.trials import small_trial
from trainables.compute import planned_metrics
from trainables.metrics import PEAK_BYTES

TRIAL = small_trial()
ONE, TWO = (planned_metrics(TRIAL.model_copy(update={"workers": n}))[PEAK_BYTES] / 1e9 for n in (1, 2))


def resources(**classes: SlotClass) -> Resources:
    return Resources(classes=classes)


def slots_with(memory_gb: float, workers: int = 1) -> SlotClass:
    return SlotClass(slots=1, memory_gb=memory_gb, workers=workers)


def test_a_worker_of_two_needs_less() -> None:
    assert TWO < ONE < 2 * TWO


@pytest.mark.parametrize(
    ("classes", "place", "workers"),
    [
        ({"large": slots_with(9 * ONE), "small": slots_with(ONE)}, 0, 1),
        ({"large": slots_with(9 * ONE), "small": slots_with(0.99 * ONE)}, 1, 1),
        ({"small": slots_with(0.5 * TWO), "pair": slots_with(TWO, workers=2), "large": slots_with(9 * ONE)}, 1, 2),
        ({"small": slots_with(0.5 * TWO), "triple": slots_with(TWO, workers=3), "large": slots_with(9 * ONE)}, 2, 1),
    ],
    ids=["both hold it", "the larger holds it", "two workers hold it", "its batch has no thirds"],
)
def test_a_trial_is_for_the_smallest_class_that_holds_it(
    classes: dict[str, SlotClass], place: int, workers: int
) -> None:
    given = resources(**classes)
    trial = settled(TRIAL, given)
    assert trial == TRIAL.model_copy(update={"workers": workers})
    assert given.class_of(workers, planned_metrics(trial)[PEAK_BYTES]) == place


def test_a_trial_that_no_class_holds_is_for_none() -> None:
    given = resources(small=slots_with(0.5 * TWO), pair=slots_with(0.9 * TWO, workers=2))
    assert settled(TRIAL, given) is None
    assert given.class_of(1, 1e9 * ONE) is None


def test_without_a_word_of_memory_slots_hold_everything() -> None:
    assert settled(TRIAL, Resources()) is TRIAL
    assert Resources().class_of(1, 1e15) == 0
