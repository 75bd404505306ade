"""Slow losses, pair by pair in Python loops, as the papers write them. Nothing of the product is imported here.

Tensors are float64 matrices of rows; gradients come from autograd through the loops. `drawn[b]` lists the rows that
anchor b is held against.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Drawn = Sequence[Sequence[int]]


def similarity(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """exp(a . b / T)"""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(a)):
        total = total + a[i] * b[i]
    return torch.exp(total / temperature)


def minus_log_share(a: Tensor | float, b: Tensor | float) -> Tensor:
    """-log(a / (a + b)), without the digits that the quotient loses where it is near 1."""
    return torch.log1p(torch.as_tensor(b / a, dtype=torch.float64))


def infonce_direction(
    anchors: Tensor, positives: Tensor, rows: Tensor, drawn: Drawn, weights: Sequence[Sequence[float]], T: float
) -> Tensor:
    """van den Oord et al. 2018, eq. 4; each negative counts `weights` times (uniform over proposal probability)."""
    total = torch.zeros((), dtype=torch.float64)
    for b, negatives in enumerate(drawn):
        positive = similarity(anchors[b], positives[b], T)
        negative = torch.zeros((), dtype=torch.float64)
        for k, row in enumerate(negatives):
            negative = negative + weights[b][k] * similarity(anchors[b], rows[row], T)
        total = total + minus_log_share(positive, negative)
    return total / len(drawn)


def crd_normaliser(anchors: Tensor, positives: Tensor, rows: Tensor, drawn: Drawn, T: float, n: int) -> float:
    """Z = n * mean(exp(a . b / T)) over all pairs of the first batch, positives and negatives."""
    scores = []
    for b, negatives in enumerate(drawn):
        scores.append(similarity(anchors[b], positives[b], T).item())
        scores += [similarity(anchors[b], rows[row], T).item() for row in negatives]
    return n * math.fsum(scores) / len(scores)


def crd_direction(anchors: Tensor, positives: Tensor, rows: Tensor, drawn: Drawn, T: float, n: int, Z: float) -> Tensor:
    """Tian et al. 2020 in its release: P = exp / Z, -log(P+ / (P+ + K/n)) - sum_k log((K/n) / (P-_k + K/n))."""
    total = torch.zeros((), dtype=torch.float64)
    for b, negatives in enumerate(drawn):
        noise = len(negatives) / n
        positive = similarity(anchors[b], positives[b], T) / Z
        total = total + minus_log_share(positive, noise)
        for row in negatives:
            negative = similarity(anchors[b], rows[row], T) / Z
            total = total + minus_log_share(noise, negative)
    return total / len(drawn)


def kd(student_logits: Tensor, teacher_logits: Tensor, T: float) -> Tensor:
    """Hinton et al. 2015, section 2: T^2 * sum_c p_c log(p_c / q_c), p of the teacher, mean over samples."""
    total = torch.zeros((), dtype=torch.float64)
    for student, teacher in zip(student_logits, teacher_logits, strict=True):
        p, q = _softened(teacher, T), _softened(student, T)
        for p_c, q_c in zip(p, q, strict=True):
            total = total + p_c * torch.log(p_c / q_c)
    return T**2 * total / len(student_logits)


def _softened(logits: Tensor, T: float) -> list[Tensor]:
    exponentials = [torch.exp(logit / T) for logit in logits]
    total = torch.zeros((), dtype=torch.float64)
    for exponential in exponentials:
        total = total + exponential
    return [exponential / total for exponential in exponentials]
