"""Losses that hold each anchor against every row of another key."""

from typing import Any

import torch
from torch import Tensor

from tests.references.pairs import (
    directions,
    divergence,
    minus_log_shares,
    other_rows,
    similarity,
    zero,
)


def _own_and_rows(c: Any, b: int, anchor: Tensor, own: Tensor, rows: Tensor, T: Any) -> list[Tensor]:
    return [similarity(anchor, own, T), *(similarity(anchor, rows[m], T) for m in other_rows(c, b))]


def supcon(c: Any, T: float) -> Tensor:
    """Khosla et al. 2020, eq. 2: the mean over positives outside of the logarithm."""
    total = zero()
    for anchors, own, _, rows in directions(c):
        for b in range(len(anchors)):
            losses = minus_log_shares(_own_and_rows(c, b, anchors[b], own[b], rows, T))
            labels = [int(c.rows.label_M[m]) for m in other_rows(c, b)]
            alike = [int(c.label_B[b]) == label != -1 for label in labels]
            positives = [losses[0]] + [loss for loss, same in zip(losses[1:], alike, strict=True) if same]
            total = total + sum(positives, zero()) / len(positives)
    return total / (2 * len(c.key_B))


def seed(c: Any, T_student: float, T_teacher: float) -> Tensor:
    """Fang et al. 2021: cross-entropy of similarities to [own teacher embedding, teacher rows]."""
    total = zero()
    for b in range(len(c.key_B)):
        teacher, rows = c.teacher_BD[b].detach(), c.rows.teacher_MD
        target = minus_log_shares(_own_and_rows(c, b, teacher, teacher, rows, T_teacher))
        student = minus_log_shares(_own_and_rows(c, b, c.student_BD[b], teacher, rows, T_student))
        for minus_log_p, minus_log_q in zip(target, student, strict=True):
            total = total + torch.exp(-minus_log_p) * minus_log_q
    return total / len(c.key_B)


def compress(c: Any, T: float, queues: int) -> Tensor:
    """Koohpayegani et al. 2020: KL of similarities to rows, each network's own or the teacher's for both."""
    student_rows = c.rows.student_MD if queues == 2 else c.rows.teacher_MD
    total = zero()
    for b in range(len(c.key_B)):
        target = [similarity(c.teacher_BD[b].detach(), c.rows.teacher_MD[m], T) for m in other_rows(c, b)]
        student = [similarity(c.student_BD[b], student_rows[m], T) for m in other_rows(c, b)]
        total = total + divergence(target, student)
    return total / len(c.key_B)


def dcd(c: Any, scale: Tensor, consistency: float) -> Tensor:
    """Giakoumoglou and Stathaki 2024 in its release: logits are scale * cos."""
    total = zero()
    for b in range(len(c.key_B)):
        student, teacher = (
            _own_and_rows(c, b, anchors[b], own[b], rows, 1 / scale) for anchors, own, _, rows in directions(c)
        )
        total = total + (minus_log_shares(student)[0] + minus_log_shares(teacher)[0]) / 2
        total = total + consistency * divergence(teacher, student)
    return total / len(c.key_B)
