"""InfoNCE between student and teacher embeddings, or between two views of the student's."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from trainables.objectives.contrast import (
    both_sides,
    contrast_operation,
    log_negatives,
    positive_scores,
)
from trainables.protocols import Contrast, Half, ObjectiveMember, Operation, Reads, Shapes, World


class InfoNCE(ObjectiveMember):
    """Softmax contrast of each anchor's positive against its negatives, between the networks or two views.

    Equation: van den Oord et al. 2018 (arXiv 1807.03748), eq. 4, f = exp(cosine / T); between views Chen et al. 2020
    (arXiv 2002.05709), eq. 1: ``-log exp(a.p/T) / (exp(a.p/T) + sum_k exp(a.n_k/T))``, mean over the batch and over
    both directions.

    Departures: negatives are memory rows and carry no gradient, so between networks the second direction holds the
    teacher's head apart.

    The `positive` is the other network's current embedding of the same sample, which is one of the same view; or the
    memory's row of it, which is one of earlier views, as in CRD; or the student's own embedding of a second view, where
    the teacher takes no part. Without `symmetric` only the student (or the first view) is an anchor.
    """

    name: Literal["infonce"] = "infonce"
    temperature: float = Field(0.1, gt=0, le=10)
    symmetric: bool = True
    positive: Literal["current", "memory", "view"] = "current"

    @property
    def reads(self) -> frozenset[Reads]:
        """Embeddings, of both views if it contrasts those."""
        return frozenset({"embeddings", "second_view"} if self.positive == "view" else {"embeddings"})

    @property
    def halves(self) -> frozenset[Half]:
        """The teacher's half for student anchors, the student's for teacher anchors and for both views."""
        if self.positive == "view":
            return frozenset({"student"})
        return frozenset({"teacher", "student"} if self.symmetric else {"teacher"})

    @property
    def against(self) -> Half:
        """The student's half for both views."""
        return "student" if self.positive == "view" else "teacher"

    @property
    def trains_teacher_head(self) -> bool:
        """If the teacher's current embedding is a positive, or an anchor."""
        return self.positive == "current" or (self.positive == "memory" and self.symmetric)

    def build(self) -> "InfoNCELoss":
        """The loss."""
        return InfoNCELoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """One direction or both."""
        return [contrast_operation(shapes, 2 if self.symmetric else 1)]


class InfoNCELoss(nn.Module):
    """See `InfoNCE`."""

    def __init__(self, config: InfoNCE) -> None:
        super().__init__()
        self.config = config

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch of the loss of each direction."""
        losses = [self._direction(contrast, *pairs) for pairs in self._directions(contrast)]
        return torch.stack(losses[: 2 if self.config.symmetric else 1]).mean()

    def _directions(self, contrast: Contrast) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Anchors, positives and rows of both directions."""
        if self.config.positive == "view":
            assert contrast.second_student_BD is not None  # promised by `reads`
            first_BD, second_BD, rows_MD = contrast.student_BD, contrast.second_student_BD, contrast.rows.student_MD
            return [(first_BD, second_BD, rows_MD), (second_BD, first_BD, rows_MD)]
        current = self.config.positive == "current"
        return [
            (side.anchor_BD, side.own_BD if current else side.positive_BD, side.rows_MD)
            for side in both_sides(contrast)
        ]

    def _direction(self, contrast: Contrast, anchor_BD: Tensor, positive_BD: Tensor, rows_MD: Tensor) -> Tensor:
        temperature = self.config.temperature * contrast.decision.temperature
        positive_B = positive_scores(anchor_BD, positive_BD) / temperature
        log_floor = math.log(contrast.draws.count) - 1 / temperature
        against_B = log_negatives(anchor_BD, rows_MD, contrast.draws, 1 / temperature, positive_B, log_floor)
        # log(1 + exp(against - positive)), which keeps its digits where the loss is small
        return -logsigmoid(positive_B - against_B).mean()
