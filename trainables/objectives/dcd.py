"""Discriminative and consistent distillation."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.objectives.contrast import both_sides, divergence, own_and_row_scores, rows_operation, surprisal
from trainables.protocols import Contrast, ObjectiveMember, Operation, Shapes, World

_LARGEST_SCALE = 10.0


class DCD(ObjectiveMember):
    """Softmax contrast at a learned scale, and agreement of what student and teacher anchors make of the same rows.

    Equation: Giakoumoglou and Stathaki 2024 (arXiv 2407.11802), with p_a = softmax(exp(scale) * cos(a, .)) over the own
    positive and all rows: ``-log p_a[own] + consistency * KL(p_t || p_s)``, mean over the batch; exp(scale) <= 10.

    Departures: read from the release, since the paper's equations could not be; rows of a memory where it has the
    batch, and both directions of the contrast, since rows carry no gradient; its additive bias cancels in the softmax
    and is left out.

    The scale starts at 1 / `temperature` (the release's: e) and is held below its limit by projection, so that its
    gradient never vanishes there. The policy's factor on the temperature divides the learned scale.
    """

    name: Literal["dcd"] = "dcd"
    temperature: float = Field(0.37, ge=1 / _LARGEST_SCALE, le=10)
    consistency: float = Field(0.5, ge=0, le=1000)

    @property
    def draws(self) -> bool:
        """Every row counts."""
        return False

    def build(self) -> "DCDLoss":
        """The loss, with its scale."""
        return DCDLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Both directions."""
        return [rows_operation(shapes, self.sides)]


class DCDLoss(nn.Module):
    """See `DCD`."""

    def __init__(self, config: DCD) -> None:
        super().__init__()
        self.consistency = config.consistency
        self.log_scale = nn.Parameter(torch.tensor(-math.log(config.temperature)))

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch."""
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(_LARGEST_SCALE))
        temperature = contrast.decision.temperature / self.log_scale.double().exp()
        student_BA, teacher_BA = (
            surprisal(own_and_row_scores(contrast, side.anchor_BD, side.own_BD, side.rows_MD, temperature))
            for side in both_sides(contrast)
        )
        discriminative = (student_BA[:, 0] + teacher_BA[:, 0]).mean() / 2
        loss = discriminative + self.consistency * divergence(teacher_BA, student_BA)
        return loss.to(contrast.student_BD.dtype)
