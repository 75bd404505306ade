"""Nothing leaks from one trial of a slot into the next: real trials, real workers."""

from pathlib import Path

import pytest

from search_spaces.policies import SlotClass
from sweeps.slots.records import Job
from sweeps.slots.slots import SlotPlan, Slots
from tests.sweeps.slots.driving import drive, ends, starts
from trainables.config import TrialConfig
from trainables.loop import run_trial
from trainables.world import SingleWorld

FIRST, FIFTIETH = 0, 49
MEMORIES = ({"name": "bank", "size": 64}, {"name": "queue", "size": 96}, {"name": "in_batch"})
OBJECTIVES = ({"name": "crd"}, {"name": "infonce"}, {"name": "kd"})


def trial(number: int) -> TrialConfig:
    """Small trials of every kind; the first and the fiftieth are the same."""
    kind = 0 if number == FIFTIETH else number
    return TrialConfig.model_validate(
        {
            "task": {"name": "digits", "copies": 1},
            "teacher": {"model": {"name": "convnet", "width": 2}, "steps": 5},
            "student": {"name": "convnet", "width": 2},
            "objective": OBJECTIVES[kind % 3],
            "memory": MEMORIES[kind // 3 % 3],
            "negatives": {"name": "uniform", "count": 16},
            "steps": 4,
            "rungs": 1,
            "seed": kind,
        }
    )


@pytest.mark.usefixtures("local_ray")
def test_the_fiftieth_trial_of_a_slot_has_the_weights_of_the_first_and_of_one_trained_alone(tmp_path: Path) -> None:
    jobs = [Job(number, trial(number).to_json()) for number in range(FIFTIETH + 1)]
    with Slots(SlotPlan([SlotClass(slots=1)]), "isolation", "1", str(tmp_path / "slot")) as slots:
        events = drive(slots, jobs)
    ended = ends(events)
    assert all(end.state == "complete" for end in ended.values())
    (first,), (fiftieth,) = starts(events, FIRST), starts(events, FIFTIETH)
    assert (first.slot_trials, fiftieth.slot_trials) == (0, 49)
    assert first.workers == fiftieth.workers, "one worker process trained both"
    assert ended[FIRST].weights_digest == ended[FIFTIETH].weights_digest
    assert len({end.weights_digest for end in ended.values()}) == 49, "and all others are different"
    alone = run_trial(
        trial(FIRST).to_json(),
        trial=FIRST,
        workspace=str(tmp_path / "alone"),
        report=lambda _: "continue",
        world=SingleWorld(),
    )
    assert alone.weights_digest == ended[FIRST].weights_digest
