"""InfoNCE between student and teacher embeddings, or between two views of the student's."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from trainables.objectives.contrast import contrast_operation, log_negatives, negative_scores, positive_scores
from trainables.protocols import Contrast, ObjectiveMember, Operation, Reads, Shapes, World


class InfoNCE(ObjectiveMember):
    """Softmax contrast of each anchor's positive against its negatives, between the networks or two views.

    Equation: van den Oord et al. 2018 (arXiv 1807.03748), eq. 4, f = exp(cosine / T); between views Chen et al. 2020
    (arXiv 2002.05709), eq. 1: ``-log exp(a.p/T) / (exp(a.p/T) + sum_k exp(a.n_k/T))``, mean over the batch and over
    both directions.

    Departures: the positive is the other network's (or view's) current embedding of the same sample; negatives are
    memory rows and carry no gradient, so between networks the second direction holds the teacher's head apart.

    Without `symmetric` only the student (or the first view) is an anchor. Between views the teacher takes no part.
    """

    name: Literal["infonce"] = "infonce"
    temperature: float = Field(0.1, gt=0, le=10)
    symmetric: bool = True
    between: Literal["networks", "views"] = "networks"

    @property
    def reads(self) -> frozenset[Reads]:
        """Embeddings, of both views if it contrasts those."""
        return frozenset({"embeddings"}) if self.between == "networks" else frozenset({"embeddings", "second_view"})

    @property
    def sides(self) -> int:
        """The teacher's half for student anchors, the student's for teacher anchors and for both views."""
        return 2 if self.symmetric and self.between == "networks" else 1

    @property
    def trains_teacher_head(self) -> bool:
        """Unless the student is contrasted with itself."""
        return self.between == "networks"

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
        first_BD, rows = contrast.student_BD, contrast.rows
        if self.config.between == "networks":
            second_BD, halves = contrast.teacher_BD, (rows.teacher_MD, rows.student_MD)
        else:
            assert contrast.second_student_BD is not None  # promised by `reads`
            second_BD, halves = contrast.second_student_BD, (rows.student_MD, rows.student_MD)
        losses = [self._direction(contrast, first_BD, second_BD, halves[0])]
        if self.config.symmetric:
            losses.append(self._direction(contrast, second_BD, first_BD, halves[1]))
        return torch.stack(losses).mean()

    def _direction(self, contrast: Contrast, anchor_BD: Tensor, positive_BD: Tensor, rows_MD: Tensor) -> Tensor:
        temperature = self.config.temperature * contrast.decision.temperature
        positive_B = positive_scores(anchor_BD, positive_BD) / temperature
        negative_BK = negative_scores(anchor_BD, rows_MD, contrast.draws) / temperature
        log_floor = math.log(negative_BK.shape[1]) - 1 / temperature
        against_B = log_negatives(contrast.draws, positive_B, negative_BK, log_floor)
        # log(1 + exp(against - positive)), which keeps its digits where the loss is small
        return -logsigmoid(positive_B - against_B).mean()
