"""Contrastive representation distillation: noise-contrastive estimation against a memory."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from trainables.base import Config
from trainables.objectives.contrast import contrast_operation, log_importance, negative_scores, positive_scores
from trainables.protocols import Contrast, Operation, Reads, Shapes, World


class CRD(Config):
    """NCE of "same sample" against K negatives, with a normaliser that is fixed on the first batch; both directions.

    Equation: Tian et al. 2020 (arXiv 1910.10699), eqs. 10 and 18, in the form of the authors' release: with
    P = exp(a.b/T) / Z and Z = n * mean(exp(a.b/T)) over the first batch,
    ``-log(P+ / (P+ + K/n)) - sum_k log((K/n) / (P-_k + K/n))``, mean over the batch, sum over the two directions.
    The number of samples n cancels: the log-odds of a pair are ``a.b/T - log mean(exp) - log K``.
    Positives and negatives are rows of the memory (the anchor alone is current), as in the release.
    Departures: written with log-sigmoids, without the release's 1e-7 in the denominators; negatives are uniform, where
    the release draws them from other classes.
    """

    reads: ClassVar[Reads] = "embeddings"
    sides: ClassVar[int] = 2
    uses_labels: ClassVar[bool] = False

    name: Literal["crd"] = "crd"
    temperature: float = Field(0.07, gt=0, le=10)

    def build(self) -> "CRDLoss":
        """The loss, with its normalisers not yet set."""
        return CRDLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Both directions."""
        return [contrast_operation(shapes, self.sides)]


class CRDLoss(nn.Module):
    """See `CRD`. The two log-normalisers are buffers: NaN until the first batch, then fixed."""

    log_normaliser_student: Tensor
    log_normaliser_teacher: Tensor

    def __init__(self, config: CRD) -> None:
        super().__init__()
        self.temperature = config.temperature
        self.register_buffer("log_normaliser_student", torch.tensor(float("nan"), dtype=torch.float64))
        self.register_buffer("log_normaliser_teacher", torch.tensor(float("nan"), dtype=torch.float64))

    def forward(self, contrast: Contrast, world: World) -> Tensor:
        """Mean over the batch of the sum of both directions."""
        student_loss = self._direction(
            contrast,
            contrast.student_BD,
            contrast.positive_teacher_BD,
            contrast.rows.teacher_MD,
            self.log_normaliser_student,
            world,
        )
        teacher_loss = self._direction(
            contrast,
            contrast.teacher_BD,
            contrast.positive_student_BD,
            contrast.rows.student_MD,
            self.log_normaliser_teacher,
            world,
        )
        return student_loss + teacher_loss

    def _direction(
        self,
        contrast: Contrast,
        anchor_BD: Tensor,
        positive_BD: Tensor,
        rows_MD: Tensor,
        log_normaliser: Tensor,
        world: World,
    ) -> Tensor:
        positive_B = positive_scores(anchor_BD, positive_BD) / self.temperature
        negative_BK = negative_scores(anchor_BD, rows_MD, contrast.draws) / self.temperature
        negative_BK = negative_BK + log_importance(contrast.draws)
        if log_normaliser.isnan():
            _fix(log_normaliser, torch.cat([positive_B.unsqueeze(1), negative_BK], dim=1), world)
        log_noise = (log_normaliser + math.log(negative_BK.shape[1])).to(positive_B.dtype)
        positive_loss_B = -logsigmoid(positive_B - log_noise)
        negative_loss_B = -logsigmoid(log_noise - negative_BK).sum(dim=1)
        return (positive_loss_B + negative_loss_B).mean()


def _fix(log_normaliser: Tensor, log_scores: Tensor, world: World) -> None:
    """Set the normaliser to the log of the mean score over the whole batch; in logs, since exp(1/T) may overflow."""
    own = log_scores.detach().double().flatten().logsumexp(dim=0, keepdim=True)
    log_normaliser.copy_(world.gather(own).logsumexp(dim=0) - math.log(world.size * log_scores.numel()))
