"""Rows come in proportion to their signal, and the draws say whether they are to be weighed."""

import math

import pytest
import torch

from tests.trainables.negatives.scene import KEY_M, M, alike, memory, seeded
from trainables.negatives.retrieval import Retrieval


@pytest.mark.parametrize("explore", [0.1, 1.0])
@pytest.mark.parametrize(("sharpness", "factor"), [(0.0, 1.0), (3.0, 1.0), (3.0, 0.5)])
def test_states_the_softmax_of_similarity_with_some_exploration(
    explore: float, sharpness: float, factor: float
) -> None:
    anchors, rows = alike(0, 1, sharpness=factor), memory()
    drawn = Retrieval(sharpness=sharpness, explore=explore).build().draw(anchors, rows, 5000, seeded(0))
    score_M = (anchors.student_BD @ rows.teacher_MD.T)[0].tolist()
    others = [row for row in range(M) if KEY_M[row] != 0]
    total = sum(math.exp(sharpness * factor * score_M[row]) for row in others)
    expected = {
        row: (1 - explore) * math.exp(sharpness * factor * score_M[row]) / total + explore / len(others)
        for row in others
    }
    assert drawn.row_BR is not None
    assert drawn.weight_BR is not None
    q_K = 1 / (drawn.weight_BR[0] * len(others))
    stated = dict(zip(drawn.row_BR[0].tolist(), q_K.tolist(), strict=True))
    assert stated == pytest.approx(expected, rel=1e-5)


def test_says_whether_its_draws_are_the_target() -> None:
    anchors, rows = alike(0, 3), memory()
    corrected = Retrieval().build().draw(anchors, rows, 20, seeded(0))
    target = Retrieval(corrected=False).build().draw(anchors, rows, 20, seeded(0))
    assert corrected.row_BR is not None
    assert target.row_BR is not None
    assert corrected.weight_BR is not None
    assert target.weight_BR is None
    assert torch.equal(corrected.row_BR, target.row_BR)


def test_estimates_a_sum_of_signals_better_than_uniform_draws() -> None:
    anchors, rows = alike(0, 20_000), memory()
    signal_M = (5 * (anchors.student_BD[:1] @ rows.teacher_MD.T)[0]).exp()
    scatter = []
    for explore in (0.2, 1.0):  # 1.0 is uniform
        drawn = Retrieval(sharpness=5.0, explore=explore).build().draw(anchors, rows, 4, seeded(0))
        assert drawn.row_BR is not None
        assert drawn.weight_BR is not None
        scatter.append(float((drawn.weight_BR * signal_M[drawn.row_BR]).mean(dim=1).std()))
    assert scatter[0] < 0.5 * scatter[1]
