"""Trials through slots, on a real Ray."""

import os
from collections import Counter
from pathlib import Path

import pytest
import ray

from search_spaces.policies import SlotClass
from sweeps.events import Reported
from sweeps.refusals import Refusal
from sweeps.slots.errors import SlotsLostError
from sweeps.slots.records import Job
from sweeps.slots.slots import SlotPlan, Slots
from tests.sweeps.slots.conftest import (
    FORMULA,
    KILLED,
    LONG,
    NAN,
    PLAIN,
    PREPARE,
    RAISES,
    STARVED,
    STOP_AT_RUNG,
    STOPPED,
    Sweep,
)
from tests.sweeps.slots.driving import drive, ends, starts


@pytest.mark.usefixtures("local_ray")
def test_ray_listens_on_loopback_alone() -> None:
    assert ray.util.get_node_ip_address() == "127.0.0.1"


def test_every_trial_ends_once(sweep: Sweep) -> None:
    found = ends(sweep.events)
    assert set(found) == set(range(46))
    assert Counter(end.state for end in found.values()) == {"complete": 42, "pruned": 1, "failed": 3}


def test_every_trial_is_trained_by_a_worker_of_ray_train(sweep: Sweep) -> None:
    for trial in PLAIN:
        (start,) = starts(sweep.events, trial)
        (worker,) = start.workers
        assert worker.pid != os.getpid()
        assert (worker.rank, worker.world_size) == (0, 1)
        assert worker.experiment == f"sweep-1-slot-{start.slot}"
        assert worker.node_id == ray.get_runtime_context().get_node_id()


def test_both_slots_train_and_stay(sweep: Sweep) -> None:
    begun = [start for trial in PLAIN for start in starts(sweep.events, trial)]
    by_slot = {slot: [start for start in begun if start.slot == slot] for slot in (0, 1)}
    for of_slot in by_slot.values():
        assert len({start.workers[0].pid for start in of_slot}) == 1
        assert sorted(start.slot_trials for start in of_slot) == list(range(len(of_slot)))
        assert len(of_slot) > 1


def test_a_stopped_trial_runs_no_step_after_its_rung(sweep: Sweep) -> None:
    end = ends(sweep.events)[STOPPED]
    assert (end.state, end.step, end.fidelity) == ("pruned", STOP_AT_RUNG + 1, 0.5)
    assert sweep.steps(STOPPED) == [1, 2, 3]


def test_verdicts_reach_their_own_trial(sweep: Sweep) -> None:
    assert ends(sweep.events)[LONG].state == "complete"
    assert sweep.steps(LONG) == [1, 2, 3, 4, 5, 6]


def test_reports_arrive_in_order_with_their_metrics(sweep: Sweep) -> None:
    reports = [event for event in sweep.events[LONG] if isinstance(event, Reported)]
    assert [(report.rung, report.step, report.metrics["set/score"]) for report in reports] == [
        (step - 1, step, step / (LONG + 1)) for step in range(1, 7)
    ]


@pytest.mark.parametrize(
    ("trial", "failure", "words"),
    [(RAISES, "user_error", "KeyError: 'no such key'"), (NAN, "nan", "the loss was nan"), (STARVED, "oom", "allocate")],
)
def test_a_failure_has_a_class_and_keeps_what_was_reached(sweep: Sweep, trial: int, failure: str, words: str) -> None:
    end = ends(sweep.events)[trial]
    assert (end.state, end.failure, end.step) == ("failed", failure, 1)
    assert words in str(end.message)


def test_a_slot_goes_on_after_a_failure(sweep: Sweep) -> None:
    (failed,) = starts(sweep.events, RAISES)
    after = [
        start
        for trial in (NAN, STARVED, KILLED)
        for start in starts(sweep.events, trial)
        if start.slot == failed.slot and start.attempt == 1
    ]
    assert after
    assert {start.workers[0].pid for start in after} == {failed.workers[0].pid}


def test_a_killed_worker_costs_an_attempt_and_nothing_twice(sweep: Sweep) -> None:
    first, second = starts(sweep.events, KILLED)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.workers[0].pid != second.workers[0].pid
    assert ends(sweep.events)[KILLED].attempt == 2
    reports = [event.rung for event in sweep.events[KILLED] if isinstance(event, Reported)]
    assert reports == [0, 1, 2]  # the second attempt began again, but said nothing a second time
    assert sweep.steps(KILLED) == [1, 2, 1, 2, 3]


@pytest.mark.usefixtures("sweep")  # its slots have left: both CPUs are free
def test_two_workers_of_a_slot_train_the_same_trials_and_hear_the_same_verdicts(tmp_path: Path) -> None:
    plan = SlotPlan([SlotClass(slots=1, workers=2)], run_trial=FORMULA)
    with Slots(plan, "gloo", "1", str(tmp_path)) as slots:
        events = drive(
            slots,
            [Job(trial, {"steps": 4}) for trial in range(3)],
            lambda report: "stop" if (report.trial, report.rung) == (1, 1) else "continue",
        )
    found = ends(events)
    assert [found[trial].state for trial in range(3)] == ["complete", "pruned", "complete"]
    assert {end.metrics["rank_mean"] for end in found.values()} == {1.5}
    done = Sweep(events, tmp_path)
    for rank in (0, 1):
        assert [done.steps(trial, rank) for trial in range(3)] == [[1, 2, 3, 4], [1, 2], [1, 2, 3, 4]]
    (start,) = starts(events, 0)
    assert [(worker.rank, worker.world_size) for worker in start.workers] == [(0, 2), (1, 2)]
    assert len({worker.pid for worker in start.workers}) == 2


@pytest.mark.usefixtures("sweep")
def test_slots_that_cannot_train_end_the_sweep_with_their_reason(tmp_path: Path) -> None:
    plan = SlotPlan([SlotClass(slots=1)], run_trial="tests.sweeps.slots.formula_trials:missing")
    with Slots(plan, "broken", "1", str(tmp_path)) as slots, pytest.raises(SlotsLostError, match="missing"):
        drive(slots, [Job(0, {})])


@pytest.mark.usefixtures("sweep")
def test_every_worker_prepares_its_share_before_its_first_trial(tmp_path: Path) -> None:
    plan = SlotPlan([SlotClass(slots=2)], run_trial=FORMULA, prepare=PREPARE, example={"fails": False})
    with Slots(plan, "prepared", "1", str(tmp_path)) as slots:
        drive(slots, [Job(trial, {"steps": 1}) for trial in range(20)])
    marks = {mark.name: mark.stat().st_mtime_ns for mark in tmp_path.glob("prepared-*")}
    assert set(marks) == {"prepared-0-of-2", "prepared-1-of-2"}
    assert min(marks.values()) < min(mark.stat().st_mtime_ns for mark in tmp_path.glob("trial-*"))


@pytest.mark.usefixtures("sweep")
def test_a_slot_that_cannot_prepare_gives_up_with_its_reason(tmp_path: Path) -> None:
    plan = SlotPlan([SlotClass(slots=1)], run_trial=FORMULA, prepare=PREPARE, example={"fails": True})
    with Slots(plan, "unprepared", "1", str(tmp_path)) as slots, pytest.raises(SlotsLostError, match="disk is full"):
        drive(slots, [Job(0, {"steps": 1})])


@pytest.mark.usefixtures("sweep")
def test_a_trial_ahead_is_trained_and_heard_as_any_other(tmp_path: Path) -> None:
    with Slots(SlotPlan([SlotClass(slots=1)], run_trial=FORMULA), "ahead", "1", str(tmp_path)) as slots:
        slots.pool.submit_ahead.remote(1, {"steps": 2}, 1)
        events = drive(slots, [Job(0, {"steps": 1}), Job(1, {"steps": 2})])
    assert {trial: end.state for trial, end in ends(events).items()} == {0: "complete", 1: "complete"}
    assert [event.kind for event in events[1]] == ["started", "reported", "reported", "ended"]


@pytest.mark.usefixtures("local_ray")
def test_more_slots_than_the_cluster_holds_are_refused() -> None:
    with pytest.raises(Refusal, match="3 slots of 1 workers with 1 CPU need 3 CPU, but the cluster has 2"):
        SlotPlan([SlotClass(slots=3)]).check_fits()
