"""The one record that says what a trial is. A space is this record with distributions at some leaves."""

import hashlib
import json
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from trainables.base import Config
from trainables.device import Device
from trainables.evaluation import Evaluation
from trainables.memory import MemoryConfig
from trainables.memory.bank import Bank
from trainables.metrics import PLANNED_METRICS, transfer_metric
from trainables.models import ModelConfig
from trainables.models.convnet import ConvNet
from trainables.negatives import NegativesConfig
from trainables.negatives.uniform import Uniform
from trainables.objectives import ObjectiveConfig
from trainables.objectives.crd import CRD
from trainables.optimizer import Optimizer
from trainables.protocols import Shapes
from trainables.tasks import TaskConfig
from trainables.tasks.digits import Digits
from trainables.teacher import Teacher


class TrialConfig(Config):
    """A fully fixed trial.

    `steps` batches of `batch_size` are trained on (the global batch: each of `workers` takes an equal share of it); at
    `rungs` evenly spaced steps, the last one included, the trial reports and may be stopped. `embedding` is the width D
    of the space in which student and teacher are contrasted. `device` is the reference that costs are stated on.
    """

    task: TaskConfig = Digits()
    teacher: Teacher = Teacher()
    student: ModelConfig = ConvNet()
    objective: ObjectiveConfig = CRD()
    memory: MemoryConfig = Bank()
    negatives: NegativesConfig = Uniform()
    embedding: int = Field(32, ge=2, le=65_536)
    optimizer: Optimizer = Optimizer()
    batch_size: int = Field(64, ge=2, le=1_000_000)
    steps: int = Field(450, ge=1, le=100_000_000)
    rungs: int = Field(3, ge=1, le=1_000)
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
        )

    def rung_steps(self) -> list[int]:
        """The steps after which the trial reports; the last is `steps`."""
        return [round(self.steps * (rung + 1) / self.rungs) for rung in range(self.rungs)]

    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        samples, rows = self.task.source_samples, self.memory.rows_kept(self.batch_size)
        rules = [
            ("batch_size", self.batch_size, "the number of source samples", samples),
            ("rungs", self.rungs, "steps", self.steps),
            ("negatives.count", self.negatives.count, "the rows of the memory", rows),
        ]
        if isinstance(self.memory, Bank):
            rules.append(("memory.size", self.memory.size, "the number of source samples", samples))
        if self.batch_size % self.workers:
            raise PydanticCustomError(
                "not_a_multiple_of",
                "{path} must be a multiple of workers, {workers}; change it to {fitting}",
                {
                    "path": "batch_size",
                    "value": self.batch_size,
                    "workers": self.workers,
                    "fitting": max(1, self.batch_size // self.workers) * self.workers,
                },
            )
        for path, value, limit_name, limit in rules:
            if value > limit:
                raise PydanticCustomError(
                    "too_large_for",
                    "{path} must be at most {limit_name}, {limit}; lower it to {limit} or less",
                    {"path": path, "value": value, "limit_name": limit_name, "limit": limit},
                )
        return self


def goal_metrics(config: TrialConfig) -> tuple[str, ...]:
    """Metrics that a sweep may optimise: every validation measure of the task, and the planned compute."""
    measures = [measure for probe in config.evaluation.probes() for measure in probe.measures]
    transfer = [transfer_metric(name, measure) for name in config.task.transfer_names for measure in measures]
    return (*transfer, *PLANNED_METRICS)
