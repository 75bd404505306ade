"""Fronts drawn by hand."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from search_spaces.policies import Bound
from sweeps.front import best, knee
from sweeps.front import front as front_of
from sweeps.ledger.history import TrialRecord
from sweeps.refusals import Refusal

GOALS: dict[str, Any] = {"accuracy": "maximize", "cost": "minimize"}


def trial(number: int, accuracy: float, cost: float, state: Any = "complete") -> TrialRecord:
    return TrialRecord(
        number=number,
        config={},
        config_digest="",
        parameters={},
        distributions={},
        sampler_attributes={},
        compute={"cost": cost},
        rungs=[1.0],
        told=0,
        planned=datetime(2026, 1, 1, tzinfo=UTC),
        state=state,
        metrics={"accuracy": accuracy, "cost": cost},
    )


def front(trials: list[TrialRecord], goals: Any, **bounds: Bound) -> list[TrialRecord]:
    return front_of(trials, goals, bounds)


def numbers(trials: list[TrialRecord]) -> list[int]:
    return [one.number for one in trials]


def test_only_the_unbeaten_stand_cheapest_first() -> None:
    trials = [trial(0, 0.9, 8), trial(1, 0.5, 1), trial(2, 0.7, 4), trial(3, 0.6, 4), trial(4, 0.5, 2)]
    assert numbers(front(trials, GOALS)) == [1, 2, 0]


def test_equal_trials_all_stand_in_order_of_number() -> None:
    assert numbers(front([trial(2, 0.5, 1), trial(1, 0.5, 1), trial(0, 0.4, 1)], GOALS)) == [1, 2]


def test_the_unfinished_never_stand_however_good() -> None:
    better: list[Any] = ["waiting", "running", "pruned", "failed"]
    trials = [trial(0, 0.5, 1), *(trial(number, 0.99, 0.1, state) for number, state in enumerate(better, start=1))]
    assert numbers(front(trials, GOALS)) == [0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_goal_without_a_number_keeps_a_trial_off(value: float) -> None:
    missing = trial(3, 0.9, 0.1)
    del missing.metrics["accuracy"]
    assert numbers(front([trial(0, 0.5, 1), trial(1, value, 0.1), trial(2, 0.9, value), missing], GOALS)) == [0]


def test_what_breaks_a_constraint_never_stands_however_good() -> None:
    trials = [trial(0, 0.5, 1), trial(1, 0.9, 8), trial(2, 0.8, 9), trial(3, 0.99, 2)]
    assert numbers(front(trials, GOALS)) == [0, 3]
    trials[3].metrics["size"], trials[1].metrics["size"], trials[0].metrics["size"] = 5.1, 5.0, -1.0
    assert numbers(front(trials, GOALS, size=Bound(at_most=5.0))) == [0, 1], "trial 2 has no size"
    assert numbers(front(trials, GOALS, size=Bound(at_least=0.0, at_most=5.0))) == [1]
    trials[1].metrics["size"] = math.nan
    assert front(trials, GOALS, size=Bound(at_least=0.0, at_most=5.0)) == []


def test_no_complete_trial_no_front() -> None:
    assert front([], GOALS) == []
    with pytest.raises(Refusal, match="no trial has completed"):
        knee([], GOALS)


def test_one_goal_and_three() -> None:
    trials = [trial(0, 0.5, 1), trial(1, 0.9, 8), trial(2, 0.9, 8)]
    assert numbers(front(trials, {"accuracy": "maximize"})) == [1, 2]
    for one, size in zip(trials, (3.0, 5.0, 4.0), strict=True):
        one.metrics["size"] = size
    assert numbers(front(trials, {**GOALS, "size": "minimize"})) == [0, 2]


def test_without_a_minimised_goal_the_best_comes_first() -> None:
    goals: dict[str, Any] = {"accuracy": "maximize", "cost": "maximize"}
    assert numbers(front([trial(0, 0.5, 8), trial(1, 0.9, 1)], goals)) == [1, 0]


def test_the_knee_bulges_most_on_a_logarithmic_cost() -> None:
    # Costs 1, 10, 100 are equally far apart: (0, 1), (0.5, 0.75) and (1, 0) after scaling; the line passes at 0.5.
    points = [trial(0, 0.4, 1), trial(1, 0.8 * 0.75 + 0.4 * 0.25, 10), trial(2, 0.8, 100)]
    assert knee(points, GOALS).number == 1
    # On a linear cost, trial 3 would be the knee: 20 of 100 is cheap there. On the logarithm it is past the middle.
    assert knee([*points, trial(3, 0.71, 20)], GOALS).number == 1


def test_a_goal_that_is_not_positive_is_scaled_linearly() -> None:
    points = [trial(0, 0.0, -1), trial(1, 0.5, 1), trial(2, 1.0, 9)]
    assert knee(points, GOALS).number == 1


STRAIGHT = [0.1 + 0.1 * step for step in range(5)]  # the middle is off the line in its last bit


@pytest.mark.parametrize("accuracies", [[0.5], [0.4, 0.8], [0.4, 0.45, 0.8], STRAIGHT])
def test_a_front_without_a_bulge_gives_its_cheap_end(accuracies: list[float]) -> None:
    points = [trial(number, accuracy, 10.0**number) for number, accuracy in enumerate(accuracies)]
    assert knee(points, GOALS).number == 0


def test_bounds_choose_the_best_first_goal_within_them() -> None:
    points = [trial(0, 0.4, 1), trial(1, 0.7, 10), trial(2, 0.8, 100)]
    assert best(points, GOALS, {}, {}).number == knee(points, GOALS).number == 1
    assert best(points, GOALS, {}, {"cost": 100}).number == 2
    assert best(points, GOALS, {}, {"cost": 99}).number == 1
    assert best(points, GOALS, {"accuracy": 0.75}, {}).number == 2
    cheap_first: dict[str, Any] = {"cost": "minimize", "accuracy": "maximize"}
    assert best(points, cheap_first, {"accuracy": 0.5}, {}).number == 1


def test_bounds_that_nothing_keeps_are_answered_with_what_there_is() -> None:
    points = [trial(0, 0.4, 1), trial(1, 0.7, 10)]
    with pytest.raises(Refusal, match=r"accuracy >= 0.9 and cost <= 5; it offers accuracy from 0.4 to 0.7"):
        best(points, GOALS, {"accuracy": 0.9}, {"cost": 5})
    with pytest.raises(Refusal, match="no metric speed"):
        best(points, GOALS, {"speed": 1}, {})
