"""Who stands on a front that is given, and where a seed tells most."""

import numpy as np
import pytest

from search_spaces.policies import Bound
from sweeps.confirmation.membership import Aims, hypervolumes, on_front, worst, worth_of_a_seed
from tests.sweeps.confirmation.points import ACCURACY, AIMS, COST


def test_the_unbeaten_stand_and_equals_stand_together() -> None:
    truths = np.array([[[0.5, 1], [0.7, 2], [0.6, 2], [0.7, 2]], [[0.8, 1], [0.7, 2], [0.6, 2], [0.9, 3]]])
    assert on_front(truths, AIMS).tolist() == [[True, True, False, True], [True, False, False, True]]


def test_a_point_that_breaks_a_constraint_neither_stands_nor_beats() -> None:
    aims = Aims({ACCURACY: "maximize", COST: "minimize"}, {ACCURACY: Bound(at_least=0.55), "few": Bound(at_most=3.0)})
    assert aims.metrics == (ACCURACY, COST, "few")
    truths = np.array([[[0.5, 1, 0], [0.7, 2, 0], [0.9, 2, 4]]])
    assert on_front(truths, aims).tolist() == [[False, True, False]]
    assert hypervolumes(truths, aims, np.array([0.6, 4.0])) == pytest.approx(0.1 * 2)


def test_hypervolumes_are_areas_up_to_the_reference() -> None:
    truths = np.array([[[0.5, 1], [0.7, 2], [0.4, 3]], [[0.6, 1], [0.2, 2], [0.4, 3]]])
    reference = worst(truths[0], AIMS)
    assert reference.tolist() == [0.4, 3.0]
    assert hypervolumes(truths, AIMS, reference) == pytest.approx([0.1 * 1 + 0.3 * 1, 0.2 * 2])


def test_a_seed_tells_most_where_the_front_hangs_on_it() -> None:
    rng = np.random.default_rng(0)
    means = np.array([0.40, 0.60, 0.605, 0.90])  # the second and the third are rivals, the others are sure
    draws = np.stack([means + 0.01 * rng.standard_normal((4000, 4)), np.tile([1.0, 2.0, 3.0, 4.0], (4000, 1))], axis=-1)
    counts = np.full(4, 2)
    worth = worth_of_a_seed(draws, on_front(draws, AIMS), AIMS, counts, counts)
    assert min(worth[1], worth[2]) > 10 * max(worth[0], worth[3])
    fewer = worth_of_a_seed(draws, on_front(draws, AIMS), AIMS, counts, np.array([2, 4, 2, 2]))
    assert fewer[1] < worth[1] / 2, "seeds under way count"
