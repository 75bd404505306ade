"""Zheng et al. 2021: attraction weighted towards far positives, repulsion towards near negatives."""

from typing import Any

import torch
from torch import Tensor

from tests.references.pairs import directions, negatives, of_true_negatives, weights, zero


def _squared_distance(a: Tensor, b: Tensor) -> Tensor:
    total = zero()
    for i in range(len(a)):
        total = total + (a[i] - b[i]) ** 2
    return total


def _mean(counts: list[Tensor], values: list[Tensor]) -> Tensor:
    return sum((n * value for n, value in zip(counts, values, strict=True)), zero()) / sum(counts, zero())


def cacr(c: Any, alpha: float, beta: float, t_positive: float, t_negative: float) -> Tensor:
    total = zero()
    for anchors, own, past, rows in directions(c):
        for b in range(len(anchors)):
            drawn = negatives(c.draws, b)
            near = [_squared_distance(anchors[b], positive[b]) for positive in (own, past)]
            attraction = _mean([torch.exp(t_positive * d) for d in near], near)
            far = [_squared_distance(anchors[b], rows[row]) for row in drawn]
            counts = weights(c.draws, b, [-t_negative * d for d in far])
            repulsion = _mean([w * torch.exp(-t_negative * d) for w, d in zip(counts, far, strict=True)], far)
            total = total + alpha * attraction - beta * of_true_negatives(c.draws, repulsion, near[0], 0.0)
    return total / (2 * len(c.key_B))
