"""Prototypical contrast: samples against the batch and against prototypes."""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from trainables.objectives.contrast import (
    Side,
    both_sides,
    contrast_operation,
    log_importance,
    log_negatives,
    of_rows,
    positive_scores,
    rows_operation,
)
from trainables.protocols import NOBODY, Contrast, ObjectiveMember, Operation, Shapes, World


class PCL(ObjectiveMember):
    """InfoNCE within the batch, and InfoNCE of each sample's prototype against others, at the prototypes' own spread.

    Equation: Li et al. 2021 (arXiv 2005.04966), eq. 11, c a prototype and phi its concentration:
    ``-log exp(a.p/T) / (exp(a.p/T) + sum_b exp(a.b/T)) - log exp(a.c/phi) / (exp(a.c/phi) + sum_k exp(a.c_k/phi_k))``.

    Departures: between student and teacher in both directions, averaged; one clustering instead of three; other samples
    of the batch carry no gradient; prototypes are drawn, with importance, tilt and prior of the sampler.

    The policy's factor is on T and on every phi. A sample without a prototype has the first term only.
    """

    name: Literal["pcl"] = "pcl"
    temperature: float = Field(0.2, gt=0, le=10)

    @property
    def needs_prototypes(self) -> bool:
        """For the second term."""
        return True

    def gathered_bytes(self, shapes: Shapes) -> int:
        """Every anchor's number and both embeddings: the first term is within the whole batch."""
        return shapes.batch * (8 + 4 * self.sides * shapes.width)

    def build(self) -> "PCLLoss":
        """The loss."""
        return PCLLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Both directions of both terms."""
        in_batch = rows_operation(replace(shapes, rows=shapes.batch - 1), self.sides)
        return [in_batch, contrast_operation(shapes, self.sides)]


class PCLLoss(nn.Module):
    """See `PCL`."""

    def __init__(self, config: PCL) -> None:
        super().__init__()
        self.temperature = config.temperature

    def forward(self, contrast: Contrast, world: World) -> Tensor:
        """Mean over the batch and both directions."""
        sample_N = world.gather(contrast.sample_B)
        own_BN = contrast.sample_B.unsqueeze(1) == sample_N
        losses = [
            self._instance_loss(side, world.gather(side.own_BD), own_BN, contrast) + _prototype_loss(side, contrast)
            for side in both_sides(contrast)
        ]
        return torch.cat(losses).mean()

    def _instance_loss(self, side: Side, batch_ND: Tensor, own_BN: Tensor, contrast: Contrast) -> Tensor:
        """For each anchor, (B,)."""
        temperature = self.temperature * contrast.decision.temperature
        positive_B = positive_scores(side.anchor_BD, side.own_BD) / temperature
        negative_BN = side.anchor_BD @ batch_ND.T / temperature
        against_B = negative_BN.masked_fill(own_BN, torch.finfo(negative_BN.dtype).min).logsumexp(dim=1)
        return -logsigmoid(positive_B - against_B)


def _prototype_loss(side: Side, contrast: Contrast) -> Tensor:
    """For each anchor, (B,)."""
    rows, draws = contrast.rows, contrast.draws
    assert rows.concentration_M is not None  # promised by `needs_prototypes`
    concentration_M = rows.concentration_M * contrast.decision.temperature
    own_BM = (contrast.key_B.unsqueeze(1) == rows.key_M) & (rows.key_M != NOBODY)
    own_B = own_BM.int().argmax(dim=1)
    positive_B = positive_scores(side.anchor_BD, side.rows_MD[own_B]) / concentration_M[own_B]
    log_floor_B = (log_importance(draws, side.anchor_BD) - 1 / of_rows(concentration_M, draws)).logsumexp(dim=1)
    # a score at a row's own spread is one with the row over that spread
    spread_MD = side.rows_MD / concentration_M.unsqueeze(1)
    against_B = log_negatives(side.anchor_BD, spread_MD, draws, 1.0, positive_B, log_floor_B)
    return torch.where(own_BM.any(dim=1), -logsigmoid(positive_B - against_B), 0)
