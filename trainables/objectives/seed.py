"""Self-supervised distillation of similarities to a queue."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from trainables.objectives.contrast import own_and_row_scores, rows_operation, surprisal
from trainables.protocols import Contrast, Half, ObjectiveMember, Operation, Shapes, World


class SEED(ObjectiveMember):
    """Cross-entropy of the student's similarities to teacher embeddings with the teacher's own.

    Equation: Fang et al. 2021 (arXiv 2101.04731), section 3, Q the teacher's half of the memory:
    ``-sum_j softmax(t.[t, Q]/T_t)_j log softmax(s.[t, Q]/T_s)_j``, mean over the batch.

    Departures: rows of the anchor's own key are left out of Q (its own teacher embedding stands first), and the default
    teacher temperature is 0.05 instead of the release's 1e-4.

    As in the paper the loss ends at the teacher's entropy, not at zero. The teacher's projection is fixed and random.
    """

    name: Literal["seed"] = "seed"
    temperature: float = Field(0.2, gt=0, le=10)
    teacher_temperature: float = Field(0.05, gt=0, le=10)

    @property
    def halves(self) -> frozenset[Half]:
        """The teacher's."""
        return frozenset({"teacher"})

    @property
    def draws(self) -> bool:
        """Every row counts."""
        return False

    @property
    def trains_teacher_head(self) -> bool:
        """The teacher's similarities are the target."""
        return False

    def build(self) -> "SEEDLoss":
        """The loss."""
        return SEEDLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """The student's products, and the teacher's without gradient."""
        return [rows_operation(shapes, self.sides, frozen=1)]


class SEEDLoss(nn.Module):
    """See `SEED`."""

    def __init__(self, config: SEED) -> None:
        super().__init__()
        self.config = config

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch."""
        factor, teacher_BD, rows_MD = (
            contrast.decision.temperature,
            contrast.teacher_BD.detach(),
            contrast.rows.teacher_MD,
        )
        teacher_BA, student_BA = (
            surprisal(own_and_row_scores(contrast, anchor_BD, teacher_BD, rows_MD, temperature * factor))
            for anchor_BD, temperature in (
                (teacher_BD, self.config.teacher_temperature),
                (contrast.student_BD, self.config.temperature),
            )
        )
        return (teacher_BA.neg().exp() * student_BA).sum(dim=1).mean().to(contrast.student_BD.dtype)
