"""What the embeddings of a batch are held against: positives, rows of the memory, and negatives drawn among them."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.draws import Draws
from trainables.negatives.candidates import uniform_rows
from trainables.protocols import NOBODY, Anchors, Batch, Contrast, Decision, Rows
from trainables.randomness import torch_stream


@dataclass(frozen=True)
class Share:
    """One worker's embeddings, with gradient, and where they stand in the whole batch."""

    own: Batch
    whole: Batch
    rank: int

    @property
    def mine(self) -> slice:
        """This worker's place in the whole batch."""
        size = len(self.own.sample_B)
        return slice(self.rank * size, (self.rank + 1) * size)


class Pairing(nn.Module):
    """Memory and sampler of a trial.

    The whole batch is paired on each worker, so that several hold what one would; each keeps its share.
    """

    def __init__(self, config: TrialConfig) -> None:
        super().__init__()
        self.config = config
        self.memory: Any = config.memory.build(config.shapes(), torch_stream(config.seed, "memory"))
        self.negatives = config.negatives.build()

    def forward(self, contrast: Contrast, share: Share, label_N: Tensor, step: int) -> Contrast:
        """The contrast of this worker's share; what the objective does not need stays empty."""
        rows: Rows = replace(self.memory.rows(share.whole), against=self.config.objective.against)
        label_B = None
        if self.config.objective.uses_labels or self.config.negatives.uses_labels:
            label_B = label_N[share.whole.sample_B]
            rows = replace(rows, label_M=self._labels_of(rows, label_N))
        student, teacher = self.memory.positives(share.own)
        if self.config.objective.relaxes:
            student, teacher = self._relaxed(student, teacher, rows, label_B, step, share.mine)
        contrast = replace(
            contrast,
            key_B=self.memory.keys(share.own.sample_B),
            student_BD=share.own.student_BD,
            teacher_BD=share.own.teacher_BD,
            positive_student_BD=student,
            positive_teacher_BD=teacher,
            rows=rows,
        )
        if not self.config.objective.draws:
            return contrast
        return replace(contrast, draws=self._drawn(contrast.decision, share, rows, label_B, step))

    def _labels_of(self, rows: Rows, label_N: Tensor) -> Tensor:
        if self.config.memory.keeps_prototypes:
            return torch.full_like(rows.key_M, NOBODY)
        return torch.where(rows.key_M == NOBODY, NOBODY, label_N[rows.key_M.clamp_min(0)])

    def _relaxed(
        self, student: Tensor, teacher: Tensor, rows: Rows, label_B: Tensor | None, step: int, mine: slice
    ) -> tuple[Tensor, Tensor]:
        """Rows of the same class in the place of positives, where there are any."""
        assert label_B is not None
        assert rows.label_M is not None
        row_B, found_B = same_class_rows(
            label_B, rows.label_M, torch_stream(self.config.seed, "positives", step, rows.key_M.device)
        )
        row_B, found_B1 = row_B[mine], found_B[mine].unsqueeze(1)
        return (
            torch.where(found_B1, rows.student_MD[row_B], student),
            torch.where(found_B1, rows.teacher_MD[row_B], teacher),
        )

    def _drawn(self, decision: Decision, share: Share, rows: Rows, label_B: Tensor | None, step: int) -> Draws:
        anchors = Anchors(
            key_B=self.memory.keys(share.whole.sample_B),
            student_BD=share.whole.student_BD,
            teacher_BD=share.whole.teacher_BD,
            label_B=label_B,
            progress=step / self.config.steps,
            sharpness=decision.sharpness,
        )
        count = max(1, round(decision.negatives * self.config.negatives.count))
        generator = torch_stream(self.config.seed, "negatives", step, rows.key_M.device)
        return self.negatives.draw(anchors, rows, count, generator).of(share.mine)


def same_class_rows(label_B: Tensor, label_M: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each anchor a row of its class, uniform among them, and whether there is one; both (B,)."""
    same_BM = label_B.unsqueeze(1) == label_M
    return uniform_rows(same_BM, 1, generator).squeeze(1), same_BM.any(dim=1)
