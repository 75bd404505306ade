"""Losses on class probabilities."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tests.references.pairs import divergence, minus_log_shares, zero


def _exponentials(logits: Tensor, T: float) -> list[Tensor]:
    return [torch.exp(logit / T) for logit in logits]


def kd(c: Any, T: float) -> Tensor:
    """Hinton et al. 2015, section 2: T^2 * sum_c p_c log(p_c / q_c), p of the teacher, mean over samples."""
    total = zero()
    for student, teacher in zip(c.student_logits_BC, c.teacher_logits_BC, strict=True):
        total = total + divergence(_exponentials(teacher, T), _exponentials(student, T))
    return T**2 * total / len(c.student_logits_BC)


def cross_entropy(c: Any) -> Tensor:
    """-log of the probability of the label."""
    total = zero()
    for student, label in zip(c.student_logits_BC, c.label_B.tolist(), strict=True):
        total = total + minus_log_shares(_exponentials(student, 1.0))[label]
    return total / len(c.student_logits_BC)


def dkd(c: Any, T: float, alpha: float, beta: float) -> Tensor:
    """Zhao et al. 2022, eq. 7: T^2 * (alpha * TCKD + beta * NCKD)."""
    total = zero()
    for student, teacher, label in zip(c.student_logits_BC, c.teacher_logits_BC, c.label_B.tolist(), strict=True):
        (student_pair, student_others), (teacher_pair, teacher_others) = (
            _decoupled(_exponentials(logits, T), label) for logits in (student, teacher)
        )
        total = total + alpha * divergence(teacher_pair, student_pair)
        total = total + beta * divergence(teacher_others, student_others)
    return T**2 * total / len(c.student_logits_BC)


def _decoupled(parts: Sequence[Tensor], label: int) -> tuple[list[Tensor], list[Tensor]]:
    """(true class, all others together), and the others."""
    others = [part for index, part in enumerate(parts) if index != label]
    return [parts[label], sum(others, zero())], others
