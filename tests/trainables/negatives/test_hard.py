"""Draws are uniform; what else the objective has to know stands beside them."""

import pytest
import torch

from tests.trainables.negatives.scene import anchors_of, memory, seeded
from trainables.negatives.hard import Hard
from trainables.negatives.uniform import Uniform


@pytest.mark.parametrize("sharpness", [0.0, 2.0])
def test_draws_what_uniform_draws(sharpness: float) -> None:
    anchors, rows = anchors_of(torch.arange(10)), memory()
    ours = Hard(sharpness=sharpness, prior=sharpness / 10).build().draw(anchors, rows, 50, seeded(3))
    theirs = Uniform().build().draw(anchors, rows, 50, seeded(3))
    assert ours.weight_BR is not None
    assert theirs.weight_BR is not None
    assert torch.equal(ours.weight_BR, theirs.weight_BR)
    assert ((ours.sharpness, ours.prior) == (theirs.sharpness, theirs.prior)) == (sharpness == 0)


def test_the_policy_scales_the_sharpness_and_leaves_the_prior() -> None:
    drawn = (
        Hard(sharpness=3.0, prior=0.1).build().draw(anchors_of(torch.arange(4), sharpness=0.5), memory(), 5, seeded(0))
    )
    assert (drawn.sharpness, drawn.prior) == (1.5, 0.1)
