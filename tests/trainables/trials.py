"""Small trials for tests: the sizes that a test counts on are given, so that no tuned default matters."""

import contextlib
import functools
import tempfile
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from search_spaces.schema import models_in
from trainables.checkpoint import Checkpoints
from trainables.config import TrialConfig
from trainables.device import Device
from trainables.evidence import ImageSplit, Task
from trainables.loop import distil
from trainables.memory import MemoryConfig
from trainables.memory.queue import Queue
from trainables.metrics import of_this_run
from trainables.models.convnet import ConvNet
from trainables.models.encoder_decoder import EncoderDecoder
from trainables.negatives import NegativesConfig
from trainables.negatives.uniform import Uniform
from trainables.objectives import ObjectiveConfig
from trainables.objectives.infonce import InfoNCE
from trainables.optimizer import Optimizer
from trainables.outcomes import Outcome, RungReport, Verdict
from trainables.protocols import World
from trainables.storage import Storage
from trainables.tasks.digits import Digits
from trainables.teacher import Shown, Teacher, TeacherNetwork, ask, load_teacher
from trainables.teacher_cache import TeacherCache

BATCH, STEPS, RUNGS = 16, 12, 3
SMALL = {
    "size": 40,
    "count": 12,
    "width": 2,
    "temperature": 0.2,
    "refresh": 3,
    "neighbours": 5,
}  # sizes of any member that has such a field


def small(member: type[BaseModel]) -> Any:
    """A member of small size."""
    return member(**{name: value for name, value in SMALL.items() if name in member.model_fields})


def small_trial(**changes: Any) -> TrialConfig:
    """Twelve steps, three rungs, on the real digits."""
    given: dict[str, Any] = {
        "task": Digits(copies=1),
        "teacher": Teacher(model=ConvNet(width=2), steps=12, batch_size=32, learning_rate=3e-3, seed=0),
        "student": ConvNet(width=2),
        "objective": InfoNCE(temperature=0.2),
        "memory": Queue(size=50),
        "negatives": Uniform(count=12),
        "embedding": 8,
        "optimizer": Optimizer(learning_rate=0.05, momentum=0.9, weight_decay=1e-4, schedule="cosine"),
        "batch_size": BATCH,
        "steps": STEPS,
        "rungs": RUNGS,
        "device": Device(name="test", flops_per_s=1e12, bytes_per_s=1e11),
        "seed": 3,
        "workers": 1,
    }
    return TrialConfig(**(given | changes))


def all_combinations() -> list[TrialConfig]:
    """Every objective x memory x sampler that go together; one memory and one sampler where the objective uses none."""
    found = []
    for objective in map(small, models_in(ObjectiveConfig)):
        for memory in models_in(MemoryConfig) if objective.sides else [Queue]:
            for negatives in models_in(NegativesConfig) if objective.draws else [Uniform]:
                with contextlib.suppress(ValidationError):  # they do not go together
                    found.append(combined(objective, small(memory), small(negatives)))
    return found


def each_member_once() -> list[TrialConfig]:
    """Some combinations, in which every objective, memory and sampler that there is occurs."""
    found, seen = [], set[str]()
    for config in all_combinations():
        names = {config.objective.name, config.memory.name, config.negatives.name}
        if not names <= seen:
            found.append(config)
            seen |= names
    return found


def combined(objective: Any, memory: Any, negatives: Any) -> TrialConfig:
    """A small trial with these parts, and a student that has what the objective reads."""
    generates = "likelihood" in objective.reads
    student = EncoderDecoder(width=2, decoder_width=2) if generates else ConvNet(width=2)
    return small_trial(objective=objective, memory=memory, negatives=negatives, student=student)


def combination_id(config: TrialConfig) -> str:
    """What pytest calls it."""
    return f"{config.objective.name}-{config.memory.name}-{config.negatives.name}"


@functools.cache
def teacher_of(teacher: Teacher, task: Digits) -> TeacherNetwork:
    """The trained teacher; trained once per process."""
    with tempfile.TemporaryDirectory() as folder:
        return load_teacher(teacher, task.load(), Storage(folder))


def images_of(split: ImageSplit) -> Tensor:
    """All its images, of a task that has them at hand."""
    assert isinstance(split.images, Tensor)
    return split.images


def shown_to(config: TrialConfig, images: Tensor) -> Shown:
    """Images, and what the trial's teacher makes of them."""
    return Shown(images, ask(teacher_of(config.teacher, config.task), images))


class Killed(Exception):
    """Stands for a SIGKILL: nothing of the trial runs after it."""


class Listener:
    """Keeps what a trial reports; stops it at one rung, or kills it there before the verdict arrives."""

    def __init__(self, stop_at: int | None = None, kill_at: int | None = None) -> None:
        self.reports: list[RungReport] = []
        self.stop_at, self.kill_at = stop_at, kill_at

    def __call__(self, report: RungReport) -> Verdict:
        self.reports.append(report)
        if report.rung == self.kill_at:
            raise Killed
        return "stop" if report.rung == self.stop_at else "continue"


class WatchedTask:
    """The task, and a record of the batches that training asked it for; the trial is killed after `lives` of them.

    Who asks for all samples at once measures.
    """

    def __init__(self, task: Task, lives: int | None = None) -> None:
        self.source, self.transfer_sets = task.source, task.transfer_sets
        self.classes, self.digest = task.classes, task.digest
        self.task, self.lives = task, lives
        self.batches: list[tuple[int, ...]] = []

    def views(self, sample_B: Tensor, epoch: int, seed: int) -> Tensor:
        if len(sample_B) < len(self.source.label_N):
            if len(self.batches) == self.lives:
                raise Killed
            self.batches.append(tuple(sample_B.tolist()))
        return self.task.views(sample_B, epoch, seed)


def checkpoints_in(folder: Path, config: TrialConfig) -> Checkpoints:
    """The trial's checkpoints under a folder."""
    return Checkpoints(Storage(str(folder)), config.digest())


def train(
    config: TrialConfig,
    folder: Path,
    listener: Listener | None = None,
    task: Task | None = None,
    world: World | None = None,
) -> Outcome:
    """Train a trial with checkpoints in `folder`; so is what its teacher makes of the task, which may be doctored."""
    task = task or config.task.load()
    teacher = TeacherCache(teacher_of(config.teacher, config.task), Storage(str(folder / "teacher_outputs")))
    return distil(config, task, teacher, checkpoints_in(folder, config), listener or Listener(), world)


def timeless(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics without those that no two runs share."""
    return {name: value for name, value in metrics.items() if not of_this_run(name)}


def unit_rows(count: int, width: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random directions."""
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=1).to(dtype)
