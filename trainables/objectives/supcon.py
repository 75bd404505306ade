"""Supervised contrast: every row of the anchor's class is a positive."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.objectives.contrast import Side, both_sides, own_and_row_scores, rows_operation, surprisal
from trainables.protocols import Contrast, ObjectiveMember, Operation, Shapes, World


class SupCon(ObjectiveMember):
    """Softmax contrast of all positives, the sample itself and every row of its class, against all rows.

    Equation: Khosla et al. 2020 (arXiv 2004.11362), eq. 2 (L_out):
    ``-mean_p log(exp(a.p/T) / sum_v exp(a.v/T))`` over positives p and all views v, mean over batch and directions.

    Departures: views are the other network's embedding of the sample and its memory rows of other samples, which carry
    no gradient; without the release's factor T / 0.07, which would scale the loss with the temperature.
    """

    name: Literal["supcon"] = "supcon"
    temperature: float = Field(0.1, gt=0, le=10)

    @property
    def draws(self) -> bool:
        """Every row counts."""
        return False

    @property
    def uses_labels(self) -> bool:
        """Of the batch and of the rows."""
        return True

    @property
    def uses_labels_of_rows(self) -> bool:
        """Positives are rows of the anchor's class."""
        return True

    def build(self) -> "SupConLoss":
        """The loss."""
        return SupConLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Both directions."""
        return [rows_operation(shapes, self.sides)]


class SupConLoss(nn.Module):
    """See `SupCon`."""

    def __init__(self, config: SupCon) -> None:
        super().__init__()
        self.temperature = config.temperature

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch and both directions."""
        positive_BA = _positives(contrast)
        losses = [self._direction(side, positive_BA, contrast) for side in both_sides(contrast)]
        return torch.stack(losses).mean().to(contrast.student_BD.dtype)

    def _direction(self, side: Side, positive_BA: Tensor, contrast: Contrast) -> Tensor:
        temperature = self.temperature * contrast.decision.temperature
        score_BA = own_and_row_scores(contrast, side.anchor_BD, side.own_BD, side.rows_MD, temperature)
        loss_BA = torch.where(positive_BA, surprisal(score_BA), 0)
        return (loss_BA.sum(dim=1) / positive_BA.sum(dim=1)).mean()


def _positives(contrast: Contrast) -> Tensor:
    """Which of (own positive, rows) an anchor should agree with, (B, 1 + M)."""
    rows = contrast.rows
    assert contrast.label_B is not None  # promised by `uses_labels`
    assert rows.label_M is not None
    same_class_BM = contrast.label_B.unsqueeze(1) == rows.label_M  # every sample has a label, so never that of nobody
    other_key_BM = contrast.key_B.unsqueeze(1) != rows.key_M
    own_B1 = torch.ones_like(contrast.key_B, dtype=torch.bool).unsqueeze(1)
    return torch.cat([own_B1, same_class_BM & other_key_BM], dim=1)
