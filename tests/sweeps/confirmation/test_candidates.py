"""Which trials are worth fresh seeds."""

import numpy as np
import pytest

from search_spaces.policies import Bound
from sweeps.confirmation.candidates import candidates, distances
from sweeps.confirmation.membership import Aims
from sweeps.refusals import Refusal
from tests.sweeps.confirmation.points import ACCURACY, AIMS, COST, trial


def test_the_front_comes_first_and_as_many_neighbours_the_nearest_first() -> None:
    trials = [
        trial(0, 0.7, 4),
        trial(1, 0.5, 1),
        trial(2, 0.69, 5),
        trial(3, 0.3, 5),
        trial(4, 0.49, 2),
        trial(5, 0.695, 6, "pruned"),
        trial(6, 0.699, 7),
    ]
    chosen = [(one.number, on_front) for one, on_front in candidates(trials, AIMS)]
    assert chosen == [(1, True), (0, True), (6, False), (2, False)]


def test_a_distance_is_what_every_measured_goal_would_have_to_gain() -> None:
    values = np.array([[0.5, 1.0], [0.7, 4.0], [0.45, 1.0], [0.6, 5.0], [0.6, 3.0]])
    assert distances(values, 2, AIMS, np.array([0.05, 1.0])) == pytest.approx([0, 0, 1, 2, 0])
    both = Aims({ACCURACY: "maximize", "few_shot": "maximize"}, {})
    values = np.array([[0.5, 0.5], [0.4, 0.3], [0.45, 0.2]])
    assert distances(values, 1, both, np.array([0.1, 0.1])) == pytest.approx([0, 1, 0.5])


def test_without_a_front_or_without_noise_there_is_nothing_to_confirm() -> None:
    with pytest.raises(Refusal, match="no trial has completed"):
        candidates([trial(0, 0.5, 1, "pruned")], AIMS)
    with pytest.raises(Refusal, match="they are exact"):
        candidates([trial(0, 0.5, 1)], Aims({COST: "minimize"}, {}))


def test_what_breaks_a_constraint_is_no_candidate() -> None:
    aims = Aims(AIMS.goals, {ACCURACY: Bound(at_least=0.6), COST: Bound(at_least=1.5)})
    trials = [trial(0, 0.5, 2), trial(1, 0.7, 2), trial(2, 0.6, 3), trial(3, 0.9, 1)]
    assert [one.number for one, _ in candidates(trials, aims)] == [1, 2]
