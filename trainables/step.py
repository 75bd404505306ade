"""One training step: the only place, with the loop, where the families meet."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from trainables.compute import Meter, estimate_operations, step_operations
from trainables.config import TrialConfig
from trainables.graphs import Captured
from trainables.information import best_temperature, infonce_bound
from trainables.pairing import Pairing, Share
from trainables.protocols import Batch, Contrast, Decision, Estimates, Operation, World
from trainables.randomness import stream_seed
from trainables.teacher import Shown


@dataclass(frozen=True)
class Samples:
    """One worker's share of the samples of a step, under one view or two, and the labels of all source samples.

    The teacher is shown the first view alone.
    """

    sample_B: Tensor
    shown: Shown
    label_N: Tensor
    second_images: Tensor | None = None


@dataclass(frozen=True)
class Taken:
    """What a step has to do after its loss: what the memory takes in, and the sizes that it is charged for."""

    step: int
    loss: Tensor
    batch: Batch | None
    samples: int
    negatives: int


class TrainingStep(nn.Module):
    """Student, heads, objective and memory of one trial. Its state dict is all that a trial learns and remembers."""

    information: Tensor

    def __init__(self, config: TrialConfig) -> None:
        super().__init__()
        self.config = config
        student_F, teacher_F = config.student_width(), config.teacher_width()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(config.seed, "weights"))
            self.student = config.student.build(config.student_inputs())
            if "logits" in config.objective.reads:
                self.classifier = nn.Linear(student_F, config.task.classes)
            if "embeddings" in config.objective.reads:
                self.student_head = nn.Linear(student_F, config.embedding)
                self.teacher_head = nn.Linear(teacher_F, config.embedding)
                self.teacher_head.requires_grad_(config.objective.trains_teacher_head)
            self.objective: nn.Module = config.objective.build()
        self.averaged = None if config.optimizer.averaging is None else _frozen_copy(self.student)
        self.pairing = Pairing(config)
        self._operations: dict[tuple[int, int], list[Operation]] = {}  # by samples and negatives
        self._captured: list[Captured] = []  # by view
        self.register_buffer("information", torch.full((2,), math.nan, dtype=torch.float64))

    def capture(self) -> None:
        """Have the student's training passes launched as a whole, on the GPU where it is; once is enough.

        But not those of a student that draws at random, which is given its seed on the CPU at each step.
        """
        if self._captured or self.config.student.stochastic:
            return
        student, share = self.config.student, self.config.batch_size // self.config.workers
        views = 2 if "second_view" in self.config.objective.reads else 1
        for _ in range(views):
            inputs = student.blank(share, self.config.student_inputs(), self.information.device)
            with self._precision(inputs):
                self._captured.append(Captured(self.student, inputs))

    def forward(self, samples: Samples, step: int, world: World) -> Taken:
        """The loss on this worker's share of the batch; `commit` then takes the batch into the memory."""
        images, teacher = samples.shown.images, samples.shown.teacher
        reads, features = self.config.objective.reads, self._features(images, teacher.features, step, world)
        contrast, batch = Contrast.unread(samples.sample_B, like=features), None
        contrast = replace(contrast, decision=self._decision(step))
        if self.config.objective.uses_labels:
            contrast = replace(contrast, label_B=samples.label_N[samples.sample_B])
        if "embeddings" in reads:
            student_BD = self._embedding(self.student_head, features)
            teacher_BD = self._embedding(self.teacher_head, teacher.features)
            own = Batch(samples.sample_B, student_BD, teacher_BD)
            batch = Batch(*(world.gather(tensor) for tensor in vars(own).values()))
            contrast = self.pairing(contrast, Share(own, batch, world.rank), samples.label_N, step)
        if "second_view" in reads:
            second = self._features(samples.second_images, teacher.features, step, world, view=1)
            contrast = replace(contrast, second_student_BD=self._embedding(self.student_head, second))
        if "logits" in reads:
            with self._precision(features):
                logits = self.classifier(features)
            contrast = replace(contrast, student_logits_BC=logits.float(), teacher_logits_BC=teacher.logits)
        if "likelihood" in reads:
            generator: Any = self.student
            with self._precision(features):
                nll_B = generator.negative_log_likelihood(features, images)
            contrast = replace(contrast, nll_B=nll_B.float())
        loss = self.objective(contrast, world)
        return Taken(step, loss, batch, world.size * len(samples.sample_B), contrast.draws.count)

    def commit(self, taken: Taken) -> None:
        """After the optimiser's step: take in the batch, the rows of all workers in the same order, and the weights."""
        if taken.batch is not None and self.config.objective.sides:
            self.pairing.memory.write(taken.batch)
        if self.averaged is not None:
            _move_towards(self.averaged, self.student, self.config.optimizer.share_of_newest(taken.step + 1))

    @property
    def result(self) -> nn.Module:
        """The student that is measured and kept: the one that is trained, or the average of its weights."""
        return self.averaged or self.student

    @property
    def classified(self) -> Callable[[Tensor], Tensor] | None:
        """Logits (N, C) by features (N, F) on the CPU, of a student that was trained with a classifier."""
        if "logits" not in self.config.objective.reads:
            return None
        device = self.information.device
        return lambda features_NF: self.classifier(features_NF.to(device)).cpu()

    def charge(self, meter: Meter, taken: Taken) -> None:
        """Charge what this step did, with the sizes that it had."""
        sizes = taken.samples, taken.negatives
        if sizes not in self._operations:
            self._operations[sizes] = self._operations_of(*sizes)
        meter.charge(self._operations[sizes])

    def features(self, shown: Shown) -> Tensor:
        """What the result makes of what it is shown, (N, F): evaluation mode, no gradient."""
        was_training = self.result.training
        self.result.eval()
        with torch.no_grad():
            features: Tensor = self.result(self._inputs(shown.images, shown.teacher.features))
        self.result.train(was_training)
        return features

    def estimate(self, source: Shown, target: Shown, meter: Meter) -> None:
        """Tell the policy what student and teacher have in common, on images of the source and of the target."""
        source_cosines, target_cosines = self._cosines(source), self._cosines(target)
        temperature = best_temperature(source_cosines)
        for place, cosines in enumerate((source_cosines, target_cosines)):
            self.information[place] = infonce_bound(cosines, temperature)
        meter.charge(estimate_operations(self.config))

    @torch.no_grad()
    def _cosines(self, shown: Shown) -> Tensor:
        """Every embedding of the student against every one of the teacher, as one group (1, N, N)."""
        student_ND = normalize(self.student_head(self.features(shown)), dim=1)
        teacher_ND = normalize(self.teacher_head(shown.teacher.features), dim=1)
        return (student_ND @ teacher_ND.T).unsqueeze(0)

    def _operations_of(self, samples: int, negatives: int) -> list[Operation]:
        shapes = replace(self.config.shapes(), batch=samples)
        if self.config.objective.draws:
            shapes = replace(shapes, negatives=negatives)
        return step_operations(self.config, shapes)

    def _inputs(self, images: Tensor | None, teacher_features: Tensor) -> Tensor | None:
        return teacher_features if self.config.student.reads == "features" else images

    def _decision(self, step: int) -> Decision:
        if not self.config.policy.estimates_every:  # nor waits for a device to say so
            return self.config.policy.decide(step / self.config.steps, None)
        source, target = self.information.tolist()
        ceiling = math.log(self.config.estimate_samples())
        estimates = None if math.isnan(source) else Estimates(source, target, ceiling)
        return self.config.policy.decide(step / self.config.steps, estimates)

    def _embedding(self, head: nn.Module, features: Tensor) -> Tensor:
        """Rows of length one, in float32."""
        with self._precision(features):
            embedded = head(features)
        return normalize(embedded.float(), dim=1)

    def _precision(self, like: Tensor) -> torch.autocast:
        """What networks multiply in while they train. Each weight is used once, so no cast is worth keeping."""
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(like.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def _features(
        self, images: Tensor | None, teacher_features: Tensor, step: int, world: World, view: int = 0
    ) -> Tensor:
        """The student in training; what it draws at random depends on step, view and worker alone."""
        inputs = self._inputs(images, teacher_features)
        if inputs is not None and self._captured:
            return self._captured[view](inputs)
        with self._precision(teacher_features):
            if not self.config.student.stochastic:
                return self.student(inputs)  # type: ignore[no-any-return]  # torch leaves it untyped
            with torch.random.fork_rng(devices=[teacher_features.device] if teacher_features.is_cuda else []):
                torch.manual_seed(stream_seed(self.config.seed, f"student/{world.rank}", 2 * step + view))
                return self.student(inputs)  # type: ignore[no-any-return]


def _frozen_copy(student: nn.Module) -> nn.Module:
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def _move_towards(averaged: nn.Module, newest: nn.Module, share: float) -> None:
    """Weights, and what normalisation has counted."""
    pairs = zip(averaged.state_dict().values(), newest.state_dict().values(), strict=True)
    old, new = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(old, new, share)
