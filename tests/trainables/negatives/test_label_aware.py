"""Other classes only, and none twice while there are others."""

import pytest
import torch

from tests.trainables.negatives.scene import KEY_M, LABEL_N, M, alike, anchors_of, memory, seeded
from trainables.negatives.label_aware import LabelAware
from trainables.protocols import NOBODY


def test_draws_every_row_of_another_class_and_no_other() -> None:
    key_B = torch.arange(10)
    drawn = LabelAware().build().draw(anchors_of(key_B), memory(), M, seeded(0))
    for key in range(10):
        # rows of nobody, whose class is unknown, count as of another
        others = {row for row, of in enumerate(KEY_M.tolist()) if of == NOBODY or LABEL_N[of] != LABEL_N[key]}
        assert set(drawn.row_BK[key].tolist()) == others
        assert drawn.candidates_B[key] == len(others)


@pytest.mark.parametrize("count", [5, 8, 30])
def test_draws_no_row_again_before_all_had_their_turn(count: int) -> None:
    drawn = LabelAware().build().draw(alike(3, 50), memory(), count, seeded(0))
    candidates = int(drawn.candidates_B[0])
    for row_K in drawn.row_BK:
        counts = torch.bincount(row_K, minlength=M)
        assert counts.max() == -(-count // candidates)
        assert counts[counts > 0].min() >= count // candidates


def test_every_pair_of_rows_is_as_likely_as_any_other() -> None:
    row_BK = LabelAware().build().draw(alike(3, 40_000), memory(), 2, seeded(0)).row_BK
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
    assert set(drawn.row_BK[0].tolist()) == {0, 2, 3}
    assert drawn.candidates_B.tolist() == [3]
    torch.testing.assert_close(drawn.logq_BK.exp(), torch.full((1, 3), 1 / 3))
