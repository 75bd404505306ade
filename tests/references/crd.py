"""Tian et al. 2020 in its release, with the number of samples n that the product has cancelled."""

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


def crd_normaliser(c: Any, anchors: Tensor, positives: Tensor, rows: Tensor, T: float, n: int) -> float:
    """Z = n * mean(exp(a . b / T)) over all pairs of a batch, positives and negatives."""
    scores = []
    for b in range(len(anchors)):
        drawn = negatives(c.draws, b)
        scores.append(similarity(anchors[b], positives[b], T).item())
        for count, row in zip(importance(c.draws, b), drawn, strict=True):
            scores.append(count * similarity(anchors[b], rows[row], T).item())
    pairs: int = len(anchors) * (1 + c.draws.count)
    return n * math.fsum(scores) / pairs


def crd_direction(c: Any, anchors: Tensor, positives: Tensor, rows: Tensor, T: float, n: int, Z: Any) -> Tensor:
    """P = exp / Z, -log(P+ / (P+ + K/n)) - sum_k w_k log((K/n) / (P-_k + K/n))."""
    total = zero()
    for b in range(len(anchors)):
        drawn = negatives(c.draws, b)
        noise = c.draws.count / n
        positive = similarity(anchors[b], positives[b], T) / Z
        total_negative = zero()
        counts = weights(c.draws, b, [dot(anchors[b], rows[row]) / T for row in drawn])
        for count, row in zip(counts, drawn, strict=True):
            total_negative = total_negative + count * minus_log_share(noise, similarity(anchors[b], rows[row], T) / Z)
        false = c.draws.count * minus_log_share(noise, positive)
        total = total + minus_log_share(positive, noise) + of_true_negatives(c.draws, total_negative, false, 0.0)
    return total / len(anchors)


def crd_normalisers(c: Any, T: float, n: int) -> list[float]:
    """That of student anchors, and that of teacher anchors."""
    return [crd_normaliser(c, anchors, positives, rows, T, n) for anchors, _, positives, rows in directions(c)]


def crd(c: Any, T: float, n: int, normalisers: Any) -> Tensor:
    total = zero()
    for (anchors, _, positives, rows), Z in zip(directions(c), normalisers, strict=True):
        total = total + crd_direction(c, anchors, positives, rows, T, n, Z)
    return total
