"""The ring holds the candidates between two percentiles of their own similarities."""

import math

import pytest
from pydantic import ValidationError

from tests.trainables.negatives.scene import KEY_M, M, alike, memory, seeded
from trainables.draws import Draws
from trainables.negatives.ring import Ring


def draw(ring: Ring, key: int, progress: float = 1.0) -> Draws:
    return ring.build().draw(alike(key, 1, progress), memory(), 2000, seeded(0))


def in_order(key: int) -> list[int]:
    """The candidates of an anchor, the most different one first."""
    score_M = (alike(key, 1).student_BD @ memory().teacher_MD.T)[0]
    return sorted((row for row in range(M) if KEY_M[row] != key), key=lambda row: float(score_M[row]))


@pytest.mark.parametrize("key", [0, 3, 4])
@pytest.mark.parametrize(
    ("lower", "upper"), [(0.0, 1.0), (0.5, 0.75), (0.5, 1.0), (0.0, 0.25), (0.9, 0.91), (0.0, 0.01)]
)
def test_holds_the_candidates_between_the_percentiles(key: int, lower: float, upper: float) -> None:
    drawn = draw(Ring(lower=lower, upper=upper, anneal=False), key, progress=0.3)
    candidates = in_order(key)
    ring = candidates[math.floor(lower * len(candidates)) : math.ceil(upper * len(candidates))]
    assert ring
    assert drawn.row_BR is not None
    assert set(drawn.row_BR[0].tolist()) == set(ring)


def test_closes_from_everything_to_its_percentiles() -> None:
    ring = Ring(lower=0.4, upper=0.8)
    drawn = {progress: draw(ring, 4, progress).row_BR for progress in (0.0, 0.5, 1.0)}
    sets = {progress: set(row_BK[0].tolist()) for progress, row_BK in drawn.items() if row_BK is not None}
    candidates = in_order(4)
    assert len(candidates) == 12
    assert sets[0.0] == set(candidates)
    assert sets[0.5] == set(candidates[2:11])  # from 0.2 to 0.9 of twelve, rounded outwards
    assert sets[1.0] == set(candidates[4:10])


@pytest.mark.parametrize(("lower", "upper"), [(0.5, 0.5), (0.6, 0.5)])
def test_refuses_a_ring_that_is_empty(lower: float, upper: float) -> None:
    with pytest.raises(ValidationError, match=r"lower must be below upper, 0\.5; lower it") as refused:
        Ring(lower=lower, upper=upper)
    (error,) = refused.value.errors()
    assert (error["ctx"]["path"], error["ctx"]["value"]) == ("lower", lower)
