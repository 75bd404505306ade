"""Trials that take their workers with them, on a real Ray: each is put aside, and the sweep goes on."""

import os
import signal
import time
from pathlib import Path

import pytest
import ray
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from search_spaces.policies import SlotClass
from sweeps.events import Lost
from sweeps.slots.errors import SlotsLostError
from sweeps.slots.losses import starvation
from sweeps.slots.records import Job
from sweeps.slots.slots import SlotPlan, Slots
from sweeps.slots.state import ATTEMPTS
from tests.sweeps.slots.conftest import FORMULA, Sweep
from tests.sweeps.slots.driving import drive, ends, starts

POISON, HANGS, FROZEN = range(3)
PLAIN = range(3, 9)


@pytest.fixture(scope="module")
def harmed(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Sweep:  # noqa: ARG001
    """A trial that kills its worker each time, one that hangs in C, one whose process stands still, and others."""
    workspace = tmp_path_factory.mktemp("harmed")
    harm = {POISON: "die", HANGS: "hang", FROZEN: "freeze"}
    jobs = [Job(trial, {"steps": 3, "at": 2, "what": what}) for trial, what in harm.items()]
    jobs += [Job(trial, {"steps": 2}) for trial in PLAIN]
    with Slots(SlotPlan([SlotClass(slots=2)], deadline_s=3, run_trial=FORMULA), "harmed", "1", str(workspace)) as slots:
        return Sweep(drive(slots, jobs), workspace)


def test_a_poison_trial_is_put_aside_after_three_attempts(harmed: Sweep) -> None:
    attempts = starts(harmed.events, POISON)
    assert [start.attempt for start in attempts] == [1, 2, 3]
    assert ATTEMPTS == 3
    assert len({start.workers[0].pid for start in attempts}) == 3
    assert harmed.steps(POISON) == [1, 2] * 3
    end = ends(harmed.events)[POISON]
    assert (end.state, end.failure, end.step) == ("failed", "worker_lost", 1), end.message


@pytest.mark.parametrize("trial", [HANGS, FROZEN])
def test_a_trial_that_makes_no_progress_is_ended_once_and_its_slot_comes_back(harmed: Sweep, trial: int) -> None:
    (start,) = starts(harmed.events, trial)
    end = ends(harmed.events)[trial]
    assert (end.state, end.failure, end.step) == ("failed", "timeout", 1)
    assert "resources.deadline_s" in str(end.message)
    assert harmed.steps(trial) == [1, 2]
    assert not Path(f"/proc/{start.workers[0].pid}/cmdline").exists(), "its process is gone"


def test_all_others_are_trained_as_if_nothing_had_happened(harmed: Sweep) -> None:
    found = ends(harmed.events)
    for trial in PLAIN:
        assert (found[trial].state, found[trial].attempt, harmed.steps(trial)) == ("complete", 1, [1, 2])


@pytest.mark.usefixtures("harmed")
def test_the_worker_beside_one_that_dies_says_nothing_against_the_trial(tmp_path: Path) -> None:
    jobs = [Job(0, {"steps": 3, "at": 2, "what": "die once", "rank": 1}), Job(1, {"steps": 2})]
    with Slots(SlotPlan([SlotClass(slots=1, workers=2)], run_trial=FORMULA), "beside", "1", str(tmp_path)) as slots:
        events = drive(slots, jobs)
    assert [start.attempt for start in starts(events, 0)] == [1, 2]
    assert {trial: end.state for trial, end in ends(events).items()} == {0: "complete", 1: "complete"}
    assert ends(events)[0].metrics["rank_mean"] == 1.5


@pytest.mark.usefixtures("harmed")
def test_a_group_of_which_one_worker_gets_sigterm_leaves_together_and_its_trial_goes_on(tmp_path: Path) -> None:
    plan = SlotPlan([SlotClass(slots=1, workers=2)], run_trial=FORMULA)
    with Slots(plan, "warned", "1", str(tmp_path)) as slots:
        pool = slots.pool
        ray.get(pool.submit.remote(0, {"steps": 1, "until": "go"}, 1))
        ray.get(pool.answer.remote(0, 0, "continue"))  # calls may overtake each other
        _, start = ray.get(pool.next_event.remote(0, 0))
        while not (tmp_path / "trial-0-rank-1.txt").exists():
            time.sleep(0.01)
        os.kill(start.workers[1].pid, signal.SIGTERM)
        _, lost = ray.get(pool.next_event.remote(0, 1))
        assert lost == Lost(trial=0, attempt=1)
        assert sorted(mark.name for mark in tmp_path.glob("*.left")) == [f"trial-0-rank-{rank}.left" for rank in (0, 1)]
        (tmp_path / "go").touch()
        pool.retry.remote(0, 2)
        again, _, end = [ray.get(pool.next_event.remote(0, heard))[1] for heard in (2, 3, 4)]
    assert (end.state, end.attempt) == ("complete", 2)
    assert {worker.pid for worker in again.workers}.isdisjoint(worker.pid for worker in start.workers)


@pytest.mark.usefixtures("harmed")
def test_full_storage_ends_the_sweep_and_no_trial(tmp_path: Path) -> None:
    with (
        Slots(SlotPlan([SlotClass(slots=1)], run_trial=FORMULA), "full", "1", str(tmp_path)) as slots,
        pytest.raises(SlotsLostError, match="no room"),
    ):
        drive(slots, [Job(0, {"steps": 1, "at": 1, "what": "fill the disk"})])


def test_what_ray_killed_for_memory_is_told_from_what_died_otherwise() -> None:
    starved = OutOfMemoryError("Task was killed due to the node running low on memory.\nMemory on the node was 9GB.")
    died = WorkerHealthCheckFailedError("a check failed", failure=ActorDiedError())
    assert starvation({0: died, 1: ValueError("memory")}) is None
    told = starvation({0: died, 1: WorkerHealthCheckFailedError("a check failed", failure=starved)})
    assert told is not None
    assert "Ray killed worker 1 of the trial: Task was killed due to the node running low on memory." in told
