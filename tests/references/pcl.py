"""Li et al. 2021, eq. 11, with one clustering."""

import math
from typing import Any

from torch import Tensor

from tests.references.pairs import (
    directions,
    dot,
    importance,
    minus_log_share,
    negatives,
    of_true_negatives,
    similarity,
    weights,
    zero,
)


def pcl(c: Any, T: float, factor: float) -> Tensor:
    """`factor` is the policy's, on T and on every concentration."""
    total = zero()
    for anchors, own, _, rows in directions(c):
        for b in range(len(anchors)):
            others = [i for i in range(len(anchors)) if c.sample_B[i] != c.sample_B[b]]
            negative = sum((similarity(anchors[b], own[i].detach(), factor * T) for i in others), zero())
            total = total + minus_log_share(similarity(anchors[b], own[b], factor * T), negative)
            mine = [m for m in range(len(rows)) if c.rows.key_M[m] == c.key_B[b] != -1]
            for m in mine:
                total = total + _prototype(c, b, anchors[b], m, rows, factor)
    return total / (2 * len(c.key_B))


def _prototype(c: Any, b: int, anchor: Tensor, own: int, rows: Tensor, factor: float) -> Tensor:
    spread = [factor * float(phi) for phi in c.rows.concentration_M]
    drawn = negatives(c.draws, b)
    positive = similarity(anchor, rows[own], spread[own])
    counts = weights(c.draws, b, [dot(anchor, rows[m]) / spread[m] for m in drawn])
    negative = zero()
    for count, m in zip(counts, drawn, strict=True):
        negative = negative + count * similarity(anchor, rows[m], spread[m])
    floor = sum(w * math.exp(-1 / spread[m]) for w, m in zip(importance(c.draws, b), drawn, strict=True))
    negative = of_true_negatives(c.draws, negative, c.draws.count * positive, floor) if c.draws.prior else negative
    return minus_log_share(positive, negative)
