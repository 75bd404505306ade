"""van den Oord et al. 2018, eq. 4, with the negatives of Robinson et al. 2021 and Chuang et al. 2020."""

import math
from typing import Any

from torch import Tensor

from tests.references.pairs import (
    directions,
    dot,
    minus_log_share,
    negatives,
    of_true_negatives,
    similarity,
    weights,
    zero,
)


def infonce_direction(c: Any, anchors: Tensor, positives: Tensor, rows: Tensor, T: float) -> Tensor:
    total = zero()
    for b in range(len(anchors)):
        drawn = negatives(c.draws, b)
        positive = similarity(anchors[b], positives[b], T)
        negative = zero()
        counts = weights(c.draws, b, [dot(anchors[b], rows[row]) / T for row in drawn])
        for count, row in zip(counts, drawn, strict=True):
            negative = negative + count * similarity(anchors[b], rows[row], T)
        floor = c.draws.count * math.exp(-1 / T)
        negative = of_true_negatives(c.draws, negative, c.draws.count * positive, floor) if c.draws.prior else negative
        total = total + minus_log_share(positive, negative)
    return total / len(anchors)


def infonce(c: Any, T: float, symmetric: bool = True) -> Tensor:
    (student, teacher, _, teacher_rows), (_, _, _, student_rows) = directions(c)
    forward = infonce_direction(c, student, teacher, teacher_rows, T)
    if not symmetric:
        return forward
    return (forward + infonce_direction(c, teacher, student, student_rows, T)) / 2


def infonce_of_memory(c: Any, T: float, symmetric: bool = True) -> Tensor:
    """The positive is the memory's row of the sample, as in Tian et al. 2020."""
    forward = infonce_direction(c, c.student_BD, c.positive_teacher_BD, c.rows.teacher_MD, T)
    backward = infonce_direction(c, c.teacher_BD, c.positive_student_BD, c.rows.student_MD, T)
    return (forward + backward) / 2 if symmetric else forward


def infonce_of_views(c: Any, T: float, symmetric: bool = True) -> Tensor:
    """Chen et al. 2020, eq. 1, with memory rows for the other samples."""
    first, second, rows = c.student_BD, c.second_student_BD, c.rows.student_MD
    forward = infonce_direction(c, first, second, rows, T)
    return (forward + infonce_direction(c, second, first, rows, T)) / 2 if symmetric else forward
