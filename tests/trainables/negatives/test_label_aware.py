"""Other classes only, and none twice while there are others."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.trainables.negatives.scene import KEY_M, LABEL_N, M, alike, anchors_of, memory, seeded
from trainables.draws import Draws
from trainables.negatives.label_aware import LabelAware
from trainables.protocols import NOBODY


def test_draws_every_row_of_another_class_and_no_other() -> None:
    key_B = torch.arange(10)
    drawn = LabelAware().build().draw(anchors_of(key_B), memory(), M, seeded(0))
    for key in range(10):
        # rows of nobody, whose class is unknown, count as of another
        others = {row for row, of in enumerate(KEY_M.tolist()) if of == NOBODY or LABEL_N[of] != LABEL_N[key]}
        assert set(rows_of(drawn)[key].tolist()) == others


@pytest.mark.parametrize("count", [5, 8, 30])
def test_draws_no_row_again_before_all_had_their_turn(count: int) -> None:
    drawn = LabelAware().build().draw(alike(3, 50), memory(), count, seeded(0))
    candidates = sum(of == NOBODY or LABEL_N[of] != LABEL_N[3] for of in KEY_M.tolist())
    for row_K in rows_of(drawn):
        counts = torch.bincount(row_K, minlength=M)
        assert counts.max() == -(-count // candidates)
        assert counts[counts > 0].min() >= count // candidates


def test_every_pair_of_rows_is_as_likely_as_any_other() -> None:
    row_BK = rows_of(LabelAware().build().draw(alike(3, 40_000), memory(), 2, seeded(0)))
    candidates = torch.unique(row_BK).numel()
    pairs = torch.bincount(row_BK[:, 0] * M + row_BK[:, 1])
    pairs = pairs[pairs > 0].double()
    assert len(pairs) == candidates * (candidates - 1)
    assert pairs.std() / pairs.mean() < 1.3 / pairs.mean() ** 0.5  # as counts of equal probability scatter


def test_an_anchor_without_rows_of_other_classes_draws_from_all_of_other_keys() -> None:
    label_N = torch.zeros(10, dtype=torch.long)
    key_M = torch.tensor([0, 1, 2, 3])
    drawn = (
        LabelAware().build().draw(anchors_of(torch.tensor([1]), label_N=label_N), memory(key_M, label_N), 3, seeded(0))
    )
    assert set(rows_of(drawn)[0].tolist()) == {0, 2, 3}


@pytest.mark.parametrize("mode", ["shared", "full"])
def test_in_other_modes_rows_of_the_anchors_class_do_not_count(mode: Literal["shared", "full"]) -> None:
    key_B = torch.arange(10)
    drawn = LabelAware(mode=mode).build().draw(anchors_of(key_B), memory(), M, seeded(0))
    row_R = torch.arange(M) if drawn.row_BR is None else drawn.row_BR[0]
    assert drawn.never_BR is not None
    assert len(torch.unique(row_R)) == M  # no row twice, so with K = M all of them
    for key, never_R in enumerate(drawn.never_BR):
        others = {row for row, of in enumerate(KEY_M.tolist()) if of == NOBODY or LABEL_N[of] != LABEL_N[key]}
        assert set(row_R[~never_R].tolist()) == others


def rows_of(drawn: Draws) -> Tensor:
    """The rows of each anchor, (B, K)."""
    assert drawn.row_BR is not None
    return drawn.row_BR
