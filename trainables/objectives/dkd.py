"""Decoupled knowledge distillation on logits."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, logsigmoid

from trainables.objectives.logits import LogitsMember
from trainables.protocols import Contrast, World


class DKD(LogitsMember):
    """KD in two parts with a weight each: how sure the teacher is of the true class, and how it ranks the others.

    Equation: Zhao et al. 2022 (arXiv 2203.08679), eq. 7: ``T^2 * (alpha * KL(b_t || b_s) + beta * KL(q_t || q_s))``, b
    the probabilities of the true class and of all others together, q those of the other classes among themselves.

    Departures: no cross-entropy with the labels and no warm-up of the weight over the first epochs, which are the
    paper's training recipe and not its loss; the default beta of 8 is one of those that the paper tunes for each pair.
    """

    name: Literal["dkd"] = "dkd"
    temperature: float = Field(4.0, gt=0, le=100)
    alpha: float = Field(1.0, ge=0, le=1000)
    beta: float = Field(8.0, ge=0, le=1000)

    @property
    def uses_labels(self) -> bool:
        """Those of the batch."""
        return True

    def build(self) -> "DKDLoss":
        """The loss."""
        return DKDLoss(self)


class DKDLoss(nn.Module):
    """See `DKD`."""

    def __init__(self, config: DKD) -> None:
        super().__init__()
        self.config = config

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch."""
        assert contrast.student_logits_BC is not None  # promised by `reads`
        assert contrast.teacher_logits_BC is not None
        assert contrast.label_B is not None  # promised by `uses_labels`
        temperature = self.config.temperature * contrast.decision.temperature
        student = _decoupled(contrast.student_logits_BC, contrast.label_B, temperature)
        teacher = _decoupled(contrast.teacher_logits_BC, contrast.label_B, temperature)
        target, others = (
            kl_div(of_student, of_teacher, reduction="batchmean", log_target=True)
            for of_student, of_teacher in zip(student, teacher, strict=True)
        )
        loss = temperature**2 * (self.config.alpha * target + self.config.beta * others)
        return loss.to(contrast.student_logits_BC.dtype)


def _decoupled(logits_BC: Tensor, label_B: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities of (true class, all others), (B, 2), and of the others alone, (B, C - 1); in double, as KD."""
    scaled_BC = logits_BC.double() / temperature
    label_B1, place_O = label_B.unsqueeze(1), torch.arange(logits_BC.shape[1] - 1, device=label_B.device)
    others_BO = scaled_BC.gather(1, place_O + (place_O >= label_B1))  # by number: a GPU has to be waited for by masks
    odds_B = scaled_BC.gather(1, label_B1).squeeze(1) - others_BO.logsumexp(dim=1)
    return torch.stack([logsigmoid(odds_B), logsigmoid(-odds_B)], dim=1), log_softmax(others_BO, dim=1)
