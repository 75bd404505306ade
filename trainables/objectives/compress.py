"""Distillation by comparing similarities to a memory."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from trainables.objectives.contrast import divergence, row_scores, rows_operation, surprisal
from trainables.protocols import Contrast, Half, ObjectiveMember, Operation, Shapes, World


class CompRess(ObjectiveMember):
    """Divergence of the student's similarities to the rows of a memory from the teacher's.

    Equation: Koohpayegani et al. 2020 (arXiv 2010.14713), section 3:
    ``KL(softmax(t.Q_t/T) || softmax(s.Q_s/T))``, mean over the batch, Q_t and Q_s the two halves of the memory.

    Departures: rows of the anchor's own key are left out; the teacher's embedding is a fixed random projection of its
    features.

    With two queues each network is compared with its own half, with one both with the teacher's half.
    """

    name: Literal["compress"] = "compress"
    temperature: float = Field(0.04, gt=0, le=10)
    queues: Literal[1, 2] = 2

    @property
    def halves(self) -> frozenset[Half]:
        """One for each queue."""
        return frozenset({"student", "teacher"} if self.queues == 2 else {"teacher"})

    @property
    def against(self) -> Half:
        """The half of its own queue."""
        return "student" if self.queues == 2 else "teacher"

    @property
    def draws(self) -> bool:
        """Every row counts."""
        return False

    @property
    def trains_teacher_head(self) -> bool:
        """The teacher's similarities are the target."""
        return False

    def build(self) -> "CompRessLoss":
        """The loss."""
        return CompRessLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """The student's products, and the teacher's without gradient."""
        return [rows_operation(shapes, sides=1, frozen=1, positives=0)]


class CompRessLoss(nn.Module):
    """See `CompRess`."""

    def __init__(self, config: CompRess) -> None:
        super().__init__()
        self.config = config

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch."""
        temperature, rows = self.config.temperature * contrast.decision.temperature, contrast.rows
        student_MD = rows.student_MD if self.config.against == "student" else rows.teacher_MD
        teacher_BM = row_scores(contrast, contrast.teacher_BD.detach(), rows.teacher_MD, temperature)
        student_BM = row_scores(contrast, contrast.student_BD, student_MD, temperature)
        return divergence(surprisal(teacher_BM), surprisal(student_BM)).to(contrast.student_BD.dtype)
