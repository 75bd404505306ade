"""Knowledge distillation on logits."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from trainables.objectives.logits import LogitsMember
from trainables.protocols import Contrast, World


class KD(LogitsMember):
    """Kullback-Leibler divergence of the student's softened class probabilities from the teacher's.

    Equation: Hinton et al. 2015 (arXiv 1503.02531), section 2: ``T^2 * KL(softmax(t/T) || softmax(s/T))``, mean over
    the batch.

    Departures: no cross-entropy with the true labels, which this member never sees.
    """

    name: Literal["kd"] = "kd"
    temperature: float = Field(4.0, gt=0, le=100)

    def build(self) -> "KDLoss":
        """The loss."""
        return KDLoss(self)


class KDLoss(nn.Module):
    """See `KD`."""

    def __init__(self, config: KD) -> None:
        super().__init__()
        self.temperature = config.temperature

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch."""
        assert contrast.student_logits_BC is not None  # promised by `reads`
        assert contrast.teacher_logits_BC is not None
        temperature = self.temperature * contrast.decision.temperature
        # In double precision: at a high temperature the divergence is a small difference of nearly equal logarithms.
        student = log_softmax(contrast.student_logits_BC.double() / temperature, dim=1)
        teacher = log_softmax(contrast.teacher_logits_BC.double() / temperature, dim=1)
        divergence = kl_div(student, teacher, reduction="batchmean", log_target=True)
        return (temperature**2 * divergence).to(contrast.student_logits_BC.dtype)
