"""Contrastive attraction and contrastive repulsion."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.objectives.contrast import (
    Side,
    both_sides,
    contrast_operation,
    log_weights,
    negative_scores,
    of_rows,
    without_false,
)
from trainables.protocols import Contrast, ObjectiveMember, Operation, Shapes, World


class CACR(ObjectiveMember):
    """Pulls in the farther of two positives more strongly, and pushes away nearer negatives more strongly.

    Equation: Zheng et al. 2021 (arXiv 2105.03746), attraction and repulsion with d = |a - b|^2:
    ``alpha * sum_p softmax_p(t_p d) d - beta * sum_k softmax_k(-t_n d) d``, mean over the batch and both directions.

    Departures: the positives are the other network's current embedding of the sample and, where the memory has one, its
    row of it; negatives are drawn, with importance, tilt and prior of the sampler inside the weights.

    The two fields are the paper's "temperatures", which multiply d, so the policy's factor divides them. Gradient flows
    through the softmax weights: the loss is a function of the embeddings as a whole, in the paper and in its release.
    """

    name: Literal["cacr"] = "cacr"
    alpha: float = Field(1.0, ge=0, le=1000)
    beta: float = Field(1.0, ge=0, le=1000)
    positive_temperature: float = Field(1.0, ge=0, le=100)
    negative_temperature: float = Field(0.9, ge=0, le=100)

    def build(self) -> "CACRLoss":
        """The loss."""
        return CACRLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Both directions."""
        return [contrast_operation(shapes, self.sides, positives=2)]


class CACRLoss(nn.Module):
    """See `CACR`."""

    def __init__(self, config: CACR) -> None:
        super().__init__()
        self.config = config

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch and both directions."""
        losses = [
            self.config.alpha * self._attraction(side, contrast) - self.config.beta * self._repulsion(side, contrast)
            for side in both_sides(contrast)
        ]
        return torch.cat(losses).mean()

    def _attraction(self, side: Side, contrast: Contrast) -> Tensor:
        """For each anchor, (B,)."""
        positive_BPD = torch.stack([side.own_BD, side.positive_BD], dim=1)
        distance_BP = (side.anchor_BD.unsqueeze(1) - positive_BPD).square().sum(dim=2)
        sharpness = self.config.positive_temperature / contrast.decision.temperature
        return (torch.softmax(sharpness * distance_BP, dim=1) * distance_BP).sum(dim=1)

    def _repulsion(self, side: Side, contrast: Contrast) -> Tensor:
        """For each anchor, (B,)."""
        draws, sharpness = contrast.draws, self.config.negative_temperature / contrast.decision.temperature
        length_BR = of_rows(side.rows_MD.to(side.anchor_BD.dtype).square().sum(dim=1), draws)
        similarity_BR = negative_scores(side.anchor_BD, side.rows_MD, draws)
        distance_BR = side.anchor_BD.square().sum(dim=1, keepdim=True) + length_BR - 2 * similarity_BR
        score_BR = -sharpness * distance_BR
        log_weight_BR = score_BR + log_weights(draws, score_BR)
        none_B1 = log_weight_BR.isneginf().all(dim=1, keepdim=True)  # of distance 0, below
        weight_BR = torch.softmax(log_weight_BR.masked_fill(none_B1, 0), dim=1)
        if draws.never_BR is not None:
            distance_BR = distance_BR.masked_fill(draws.never_BR, 0)  # infinite, and of no weight
        own_distance_B = (side.anchor_BD - side.own_BD).square().sum(dim=1)
        return without_false(draws, (weight_BR * distance_BR).sum(dim=1), own_distance_B)
