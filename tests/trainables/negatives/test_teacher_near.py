"""Near by the teacher, and everything else often enough."""

from dataclasses import replace

import pytest
import torch

from tests.trainables.negatives.scene import KEY_M, M, alike, memory, seeded
from trainables.negatives.teacher_near import TeacherNear


@pytest.mark.parametrize("near", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("neighbours", [1, 4, 100])
def test_states_the_mixture_of_the_nearest_and_all(near: float, neighbours: int) -> None:
    rows = memory()
    anchors = replace(alike(3, 1), teacher_BD=rows.teacher_MD[:1])  # a row of its own is the nearest, and left out
    drawn = TeacherNear(near=near, neighbours=neighbours).build().draw(anchors, rows, 5000, seeded(0))
    others = [row for row in range(M) if KEY_M[row] != 3]
    score_M = (anchors.teacher_BD @ rows.teacher_MD.T)[0]
    nearest = sorted(others, key=lambda row: -float(score_M[row]))[:neighbours]
    expected = {row: (1 - near) / len(others) + (near / len(nearest) if row in nearest else 0) for row in others}
    assert drawn.row_BR is not None
    assert drawn.weight_BR is not None
    q_K = 1 / (drawn.weight_BR[0] * len(others))
    stated = dict(zip(drawn.row_BR[0].tolist(), q_K.tolist(), strict=True))
    assert stated == pytest.approx(expected, rel=1e-5)
    assert torch.bincount(drawn.row_BR[0], minlength=M)[others].min() > 0
