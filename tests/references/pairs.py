"""What the slow losses share: pairs, shares of a total, and what a drawn negative counts for.

Slow losses are written pair by pair in Python loops, as the papers write them; nothing of the product is imported. They
take a record with the fields of a contrast in float64, and gradients come from autograd through the loops.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


def dot(a: Tensor, b: Tensor) -> Tensor:
    total = zero()
    for i in range(len(a)):
        total = total + a[i] * b[i]
    return total


def similarity(a: Tensor, b: Tensor, temperature: Any) -> Tensor:
    """exp(a . b / T)"""
    return torch.exp(dot(a, b) / temperature)


def minus_log_share(a: Tensor | float, b: Tensor | float) -> Tensor:
    """-log(a / (a + b)), without the digits that the quotient loses where it is near 1."""
    return torch.log1p(torch.as_tensor(b / a, dtype=torch.float64))


def minus_log_shares(parts: Sequence[Tensor]) -> list[Tensor]:
    """-log(part / total) of each part."""
    return [minus_log_share(part, sum(parts[:i], zero()) + sum(parts[i + 1 :], zero())) for i, part in enumerate(parts)]


def divergence(target: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """sum_j p_j log(p_j / q_j) of two distributions in proportion to these parts."""
    total = zero()
    for minus_log_p, minus_log_q in zip(minus_log_shares(target), minus_log_shares(other), strict=True):
        total = total + torch.exp(-minus_log_p) * (minus_log_q - minus_log_p)
    return total


def directions(c: Any) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Anchors, the other network's own embeddings, the memory's positives, and the half of the memory."""
    return [
        (c.student_BD, c.teacher_BD, c.positive_teacher_BD, c.rows.teacher_MD),
        (c.teacher_BD, c.student_BD, c.positive_student_BD, c.rows.student_MD),
    ]


def other_rows(c: Any, b: int) -> list[int]:
    """The rows of another key than the anchor's."""
    return [m for m in range(len(c.rows.key_M)) if c.rows.key_M[m] != c.key_B[b]]


def held(draws: Any, b: int) -> list[tuple[int, int]]:
    """Place and row of each negative of an anchor: its own draws, those of all anchors, or every row."""
    own = b if draws.row_BR is not None and len(draws.row_BR) > 1 else 0
    rows = range(draws.rows) if draws.row_BR is None else draws.row_BR[own].tolist()
    return [(r, m) for r, m in enumerate(rows) if draws.never_BR is None or not draws.never_BR[b, r]]


def negatives(draws: Any, b: int) -> list[int]:
    """The rows of these."""
    return [m for _, m in held(draws, b)]


def importance(draws: Any, b: int) -> list[float]:
    """How often each of the negatives counts."""
    if draws.weight_BR is None:
        return [1.0 for _ in held(draws, b)]
    weight = draws.weight_BR[b].double().tolist()
    return [weight[r if len(weight) > 1 else 0] for r, _ in held(draws, b)]


def weights(draws: Any, b: int, scores: Sequence[Tensor]) -> list[Tensor]:
    """Robinson et al. 2021: importance times exp(sharpness * score), over the mean of the latter without the tilt."""
    plain = importance(draws, b)
    tilted = [w * torch.exp(draws.sharpness * score) for w, score in zip(plain, scores, strict=True)]
    mean = sum(tilted, zero()) / sum(plain)
    return [w / mean for w in tilted]


def of_true_negatives(draws: Any, total: Tensor, false: Tensor, floor: float) -> Tensor:
    """Chuang et al. 2020: max((total - prior * what it would be on false negatives) / (1 - prior), floor)."""
    kept = (total - draws.prior * false) / (1 - draws.prior)
    return kept if kept > floor else torch.full_like(kept, floor)
