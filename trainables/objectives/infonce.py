"""InfoNCE between student and teacher embeddings."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from trainables.base import Config
from trainables.objectives.contrast import contrast_operation, log_importance, negative_scores, positive_scores
from trainables.protocols import Contrast, Operation, Reads, Rows, Shapes, World


class InfoNCE(Config):
    """Softmax contrast of each anchor's positive against its negatives, student to teacher and teacher to student.

    Equation: van den Oord et al. 2018 (arXiv 1807.03748), eq. 4, with f = exp(cosine / temperature):
    ``-log exp(s.t+/T) / (exp(s.t+/T) + sum_k exp(s.t-_k/T))``, averaged over the batch and over both directions.
    Departures: the positive is the other network's current embedding of the same sample; negatives are memory rows and
    carry no gradient, so the teacher's head is held apart by the second direction.
    """

    reads: ClassVar[Reads] = "embeddings"
    sides: ClassVar[int] = 2
    uses_labels: ClassVar[bool] = False

    name: Literal["infonce"] = "infonce"
    temperature: float = Field(0.1, gt=0, le=10)

    def build(self) -> "InfoNCELoss":
        """The loss."""
        return InfoNCELoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Both directions."""
        return [contrast_operation(shapes, self.sides)]


class InfoNCELoss(nn.Module):
    """See `InfoNCE`."""

    def __init__(self, config: InfoNCE) -> None:
        super().__init__()
        self.temperature = config.temperature

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch of the loss of both directions."""
        rows: Rows = contrast.rows
        student_loss = self._direction(contrast, contrast.student_BD, contrast.teacher_BD, rows.teacher_MD)
        teacher_loss = self._direction(contrast, contrast.teacher_BD, contrast.student_BD, rows.student_MD)
        return (student_loss + teacher_loss) / 2

    def _direction(self, contrast: Contrast, anchor_BD: Tensor, positive_BD: Tensor, rows_MD: Tensor) -> Tensor:
        positive_B = positive_scores(anchor_BD, positive_BD) / self.temperature
        negative_BK = negative_scores(anchor_BD, rows_MD, contrast.draws) / self.temperature
        against_B = (negative_BK + log_importance(contrast.draws)).logsumexp(dim=1)
        # log(1 + exp(against - positive)), which keeps its digits where the loss is small
        return -logsigmoid(positive_B - against_B).mean()
