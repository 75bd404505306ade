"""The one record that says what a trial is. A space is this record with distributions at some leaves."""

import hashlib
import json
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from trainables.base import Config
from trainables.device import Device
from trainables.evaluation import Evaluation
from trainables.memory import MemoryConfig
from trainables.memory.bank import Bank
from trainables.metrics import PLANNED_METRICS, TOP1, gain_metric, transfer_metric
from trainables.models import ModelConfig
from trainables.models.convnet import ConvNet
from trainables.negatives import NegativesConfig
from trainables.negatives.uniform import Uniform
from trainables.objectives import ObjectiveConfig
from trainables.objectives.crd import CRD
from trainables.optimizer import Optimizer
from trainables.policies import PolicyConfig
from trainables.policies.constant import Constant
from trainables.protocols import Shapes
from trainables.rules import refuse_misfits
from trainables.tasks import TaskConfig
from trainables.tasks.digits import Digits
from trainables.teacher import Teacher

#: Images of the source, and as many of the target, that a policy estimates mutual information on.
_ESTIMATE_SAMPLES = 64


class TrialConfig(Config):
    """A fully fixed trial.

    `steps` batches of `batch_size` are trained on (the global batch: each of `workers` takes an equal share of it); at
    `rungs` of them, the last one included, the trial reports and may be stopped: evenly spaced, or each `rung_growth`
    times as far as the one before. `embedding` is the width D
    of the space in which student and teacher are contrasted. `device` is the reference that costs are stated on.

    `precision` is that of the networks' products in training, `bfloat16` by torch's autocast; weights, normalisations,
    embeddings and losses stay in float32, and what is measured is measured in it. Modelled cost does not know it.

    `views` is how many fixed views of each source image there are, the same for every trial, shown in turn; without it
    every epoch shows a new one of the trial's own. A student of frozen features is shown the images as they are. With
    `teacher_cache` the teacher's outputs for what is shown are read from a cache that all trials share, with the same
    results, on a CPU to the last bit.
    """

    task: TaskConfig = Digits()
    teacher: Teacher = Teacher()
    student: ModelConfig = ConvNet()
    objective: ObjectiveConfig = CRD()
    memory: MemoryConfig = Bank()
    negatives: NegativesConfig = Uniform()
    policy: PolicyConfig = Constant()
    embedding: int = Field(32, ge=2, le=65_536)
    optimizer: Optimizer = Optimizer()
    batch_size: int = Field(64, ge=2, le=1_000_000)
    steps: int = Field(450, ge=1, le=100_000_000)
    rungs: int = Field(3, ge=1, le=1_000)
    rung_growth: float | None = Field(None, gt=1, le=1_000)
    precision: Literal["float32", "bfloat16"] = "float32"
    views: int | None = Field(None, ge=1, le=1_000_000)
    teacher_cache: bool = False
    evaluation: Evaluation = Evaluation()
    device: Device = Device()
    seed: int = Field(0, ge=0, lt=2**63)
    workers: int = Field(1, ge=1, le=10_000)

    def shapes(self) -> Shapes:
        """The sizes of one training step."""
        return Shapes(
            batch=self.batch_size,
            width=self.embedding,
            negatives=self.negatives.count,
            rows=self.memory.rows_kept(self.batch_size),
            classes=self.task.classes,
            samples=self.task.source_samples,
            mode=self.negatives.mode,
            row_bytes=self.memory.row_bytes,
        )

    def task_inputs(self) -> tuple[int, ...]:
        """The shape of one sample of the task."""
        return self.task.inputs

    def student_inputs(self) -> tuple[int, ...]:
        """The shape of what the student reads: an image, or the features of the teacher."""
        return (self.teacher_width(),) if self.student.reads == "features" else self.task_inputs()

    def student_width(self) -> int:
        """F of the student."""
        return self.student.feature_width(self.student_inputs())

    def teacher_width(self) -> int:
        """F of the teacher."""
        return self.teacher.model.feature_width(self.task_inputs())

    def rung_steps(self) -> list[int]:
        """The steps after which the trial reports; the last is `steps`."""
        return [round(self.steps * fidelity) for fidelity in self._fidelities()]

    def _fidelities(self) -> list[float]:
        if self.rung_growth is None:
            return [(rung + 1) / self.rungs for rung in range(self.rungs)]
        return [self.rung_growth ** (rung + 1 - self.rungs) for rung in range(self.rungs)]

    def estimate_steps(self) -> range:
        """The steps before which the policy is told new estimates of mutual information.

        None for an objective that gives student and teacher no space in common.
        """
        every = self.policy.estimates_every if self._share_a_space() else 0
        return range(every, self.steps, every) if every else range(0)

    def estimate_samples(self) -> int:
        """How many images of the source, and how many of the target, an estimate takes."""
        return min(_ESTIMATE_SAMPLES, self.task.source_samples, self.task.target_samples)

    def cautions(self) -> list[str]:
        """What is allowed, but hardly meant."""
        found = self.objective.cautions(self.shapes())
        if self.policy.estimates_every and not self._share_a_space():
            found.append(
                f"{self.policy.name} is told no estimates, since {self.objective.name}, as it is set, gives student "
                "and teacher no space in common; choose another objective, or `policy: {name: constant}`"
            )
        if self.views is not None and self.student.reads == "features":
            found.append(
                f"a student of features ({self.student.name}) is shown the images as they are; leave views out"
            )
        if self.objective.relaxes and self.objective.draws and not self.negatives.uses_labels:
            found.append("a positive may be among its own anchor's negatives; write `negatives: {name: label_aware}`")
        return found

    def _share_a_space(self) -> bool:
        return "embeddings" in self.objective.reads and self.objective.against == "teacher"

    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        refuse_misfits(self)
        return self


def goal_metrics(config: TrialConfig) -> tuple[str, ...]:
    """Metrics that a sweep may optimise: every validation measure of the task, and the planned compute."""
    return (*_transfer_metrics(config), *PLANNED_METRICS)


def _transfer_metrics(config: TrialConfig) -> Iterator[str]:
    for transfer_set in config.task.transfer_names:
        if "logits" in config.objective.reads and transfer_set in config.task.known_names:
            yield transfer_metric(transfer_set, TOP1)
        for probe in config.evaluation.probes():
            for measure in probe.measures:
                metric = transfer_metric(transfer_set, measure)
                yield metric
                if config.student.reads == "features":
                    yield gain_metric(metric)
