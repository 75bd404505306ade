"""One training step: the only place, with the loop, where the families meet."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from trainables.compute import Meter, step_operations
from trainables.config import TrialConfig
from trainables.protocols import Contrast, Draws, Rows, Shapes, World
from trainables.randomness import stream_seed, torch_stream
from trainables.teacher import TeacherNetwork


class TrainingStep(nn.Module):
    """Student, heads, objective and memory of one trial. Its state dict is all that a trial learns and remembers."""

    def __init__(self, config: TrialConfig) -> None:
        super().__init__()
        self.config = config
        student_F, teacher_F = config.student.feature_width, config.teacher.model.feature_width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(config.seed, "weights"))
            self.student = config.student.build(config.task.channels)
            if config.objective.reads == "logits":
                self.classifier = nn.Linear(student_F, config.task.classes)
            else:
                self.student_head = nn.Linear(student_F, config.embedding)
                self.teacher_head = nn.Linear(teacher_F, config.embedding)
            self.objective = config.objective.build()
        self.memory = config.memory.build(config.shapes(), torch_stream(config.seed, "memory"))
        self.negatives = config.negatives.build()

    def forward(self, images: Tensor, sample_B: Tensor, step: int, teacher: TeacherNetwork, world: World) -> Tensor:
        """The loss on this worker's share of the batch; `commit` then takes the batch into the memory."""
        features = self.student(images)
        with torch.no_grad():
            teacher_features, teacher_logits = teacher(images)
        if self.config.objective.reads == "logits":
            self._contrast = _without_embeddings(sample_B, self.classifier(features), teacher_logits)
        else:
            student_BD = normalize(self.student_head(features), dim=1)
            teacher_BD = normalize(self.teacher_head(teacher_features), dim=1)
            self._contrast = self._embedded(sample_B, student_BD, teacher_BD, step, world)
        loss: Tensor = self.objective(self._contrast, world)
        return loss

    def commit(self, world: World) -> None:
        """Write the batch into the memory, the rows of all workers in the same order on each of them."""
        if self.config.objective.sides:
            contrast = self._contrast
            self.memory.write(*(world.gather(t) for t in (contrast.sample_B, contrast.student_BD, contrast.teacher_BD)))

    def charge(self, meter: Meter, world: World) -> None:
        """Charge what this step did, with the shapes that it had."""
        contrast = self._contrast
        shapes = Shapes(
            batch=world.size * len(contrast.sample_B),
            width=contrast.student_BD.shape[1],
            negatives=contrast.draws.row_BK.shape[1],
            rows=len(contrast.rows.sample_M),
            classes=self.config.task.classes,
            samples=self.config.task.source_samples,
        )
        meter.charge(step_operations(self.config, shapes))

    def _embedded(self, sample_B: Tensor, student_BD: Tensor, teacher_BD: Tensor, step: int, world: World) -> Contrast:
        # The whole batch draws, so that several workers hold what one would; each keeps the draws of its share.
        batch_B, student_rows, teacher_rows = (world.gather(t) for t in (sample_B, student_BD, teacher_BD))
        rows: Rows = self.memory.rows(batch_B, student_rows, teacher_rows)
        generator = torch_stream(self.config.seed, "negatives", step)
        drawn = self.negatives.draw(batch_B, rows, self.config.negatives.count, generator)
        mine = slice(world.rank * len(sample_B), (world.rank + 1) * len(sample_B))
        positive_student, positive_teacher = self.memory.positives(sample_B, student_BD, teacher_BD)
        return Contrast(
            sample_B=sample_B,
            student_BD=student_BD,
            teacher_BD=teacher_BD,
            positive_student_BD=positive_student,
            positive_teacher_BD=positive_teacher,
            rows=rows,
            draws=Draws(drawn.row_BK[mine], drawn.logq_BK[mine], drawn.candidates_B[mine]),
        )


def _without_embeddings(sample_B: Tensor, student_logits_BC: Tensor, teacher_logits_BC: Tensor) -> Contrast:
    """The input of an objective that reads logits: nothing was embedded, so nothing is drawn or remembered."""
    nothing, no_index = student_logits_BC.new_empty(0, 0), sample_B.new_empty(0, 0)
    return Contrast(
        sample_B=sample_B,
        student_BD=nothing,
        teacher_BD=nothing,
        positive_student_BD=nothing,
        positive_teacher_BD=nothing,
        rows=Rows(nothing, nothing, sample_B.new_empty(0)),
        draws=Draws(no_index, nothing, sample_B.new_empty(0)),
        student_logits_BC=student_logits_BC,
        teacher_logits_BC=teacher_logits_BC,
    )
