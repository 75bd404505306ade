"""Nodes come and go under the slots of a sweep: a real cluster of raylets (`tests.sweeps.slots.coming_and_going`)."""

from typing import Any

import pytest

from tests.sweeps.ray_of_its_own import told_by

pytestmark = pytest.mark.timeout(1300)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the cluster of that module saw."""
    return told_by("tests.sweeps.slots.coming_and_going", tmp_path_factory.mktemp("nodes"), 1200)


def test_of_five_slots_of_half_a_gpu_two_gpus_hold_four_and_the_fifth_waits(seen: dict[str, Any]) -> None:
    assert seen["four"] == ["first"] * 4
    assert seen["without workers"] == ["starts its workers, or waits for a place for them"]


def test_a_class_of_which_the_cluster_can_hold_no_slot_is_refused(seen: dict[str, Any]) -> None:
    assert "1 slots of 3 workers with 1 GPU need 3 GPU, but the cluster has 2" in seen["refused"]


def test_a_slot_without_a_place_gets_one_when_a_node_comes(seen: dict[str, Any]) -> None:
    assert seen["five"] == ["first"] * 4 + ["second"]


def test_the_trial_of_a_lost_node_goes_on_in_the_slots_that_are_left(seen: dict[str, Any]) -> None:
    assert (seen["after the loss"], seen["goes on at"]) == ("lost", "first")
    attempts = [2 if trial == seen["lost"] else 1 for trial in range(5)]
    assert seen["ends"] == [{"state": "complete", "attempt": attempt} for attempt in attempts]
    assert seen["placed after the loss"] == ["first"] * 4


def test_the_slot_comes_back_with_another_node(seen: dict[str, Any]) -> None:
    assert seen["third"] == ["first"] * 4 + ["third"]
    assert seen["failures"] == {}, "no slot was given up"


def test_a_trial_leaves_a_node_that_is_about_to_be_taken_away(seen: dict[str, Any]) -> None:
    assert seen["drain accepted"]
    assert (seen["after the warning"], seen["left a checkpoint"], seen["then at"]) == ("lost", True, "first")
    attempts = [2 if trial == seen["warned"] else 1 for trial in range(5, 10)]
    assert seen["last ends"] == [{"state": "complete", "attempt": attempt} for attempt in attempts]


def test_slots_end_with_the_sweep_though_one_waits_for_a_place(seen: dict[str, Any]) -> None:
    assert seen["still running"] == []
