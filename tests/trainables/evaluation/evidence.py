"""What probes are shown in tests."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainables.evidence import Evidence, Features


@dataclass(frozen=True)
class Story(Evidence):
    """What a probe is fitted on, and what it is to judge."""

    held_out: Features


def judged(probe: Any, story: Story) -> dict[str, float]:
    """What the fitted probe makes of the held-out samples."""
    found: dict[str, float] = probe.fit(story)(story.held_out)
    return found


def normal(samples: int, width: int, seed: int) -> Tensor:
    return torch.randn(samples, width, generator=torch.Generator().manual_seed(seed))


def features(student_NF: Tensor, teacher_NF: Tensor | None = None, label_N: Tensor | None = None) -> Features:
    """Where nothing is said of them: teachers that are the student, samples that are all of one class."""
    label_N = torch.zeros(len(student_NF), dtype=torch.long) if label_N is None else label_N
    return Features(student_NF, student_NF if teacher_NF is None else teacher_NF, label_N)


def three_classes(samples: int, seed: int, signal: float, first_label: int = 0) -> Features:
    """`signal` deviations between the means; the teacher knows of four of the student's five features."""
    label_N = torch.arange(samples) % 3
    student_NF = normal(samples, 5, seed)
    student_NF[torch.arange(samples), label_N] += signal
    return Features(student_NF, student_NF[:, :4] + 0.1 * normal(samples, 4, seed + 100), first_label + label_N)


def three_class_evidence(signal: float = 1.0, held_out: int = 45) -> Story:
    source = three_classes(80, 2, signal)
    view = replace(source, student_NF=source.student_NF + 0.1 * normal(80, 5, 3))
    # the labels of a transfer set need not start at 0
    return Story(three_classes(60, 0, signal, 6), source, view, three_classes(held_out, 1, signal, 6))


def with_student(evidence: Story, change: Callable[[Tensor], Tensor]) -> Story:
    """The same evidence of a student whose features are changed everywhere."""
    return Story(*(replace(part, student_NF=change(part.student_NF)) for part in vars(evidence).values()))


def chosen(part: Features, rows: Tensor) -> Features:
    return Features(part.student_NF[rows], part.teacher_NF[rows], part.label_N[rows])
