"""The training loop: one trial, from its config to its outcome, as a plain function that knows nothing of Ray."""

import functools
import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from trainables.checkpoint import Checkpoints
from trainables.compute import Meter
from trainables.config import TrialConfig
from trainables.evidence import Task
from trainables.measure import Measurements
from trainables.metrics import DEVICE_SECONDS, TRAIN_LOSS
from trainables.outcomes import Outcome, Report, RungReport, TrialFailure
from trainables.protocols import World
from trainables.randomness import stream_seed, torch_stream
from trainables.step import Samples, TrainingStep
from trainables.storage import Storage
from trainables.teacher import TeacherNetwork, load_teacher
from trainables.tensor_files import tensors_digest
from trainables.world import SingleWorld

_LOG = logging.getLogger(__name__)

#: Where teachers are kept, beside the sweeps of a storage folder: every sweep may use them.
TEACHERS = "cache/teachers"


def run_trial(config: Mapping[str, Any], *, trial: int, workspace: str, report: Report, world: World) -> Outcome:
    """Train one trial of a sweep. `workspace` is the sweep's storage folder; teachers are shared beside all sweeps."""
    trial_config = TrialConfig.model_validate(config)
    for caution in trial_config.cautions():
        _LOG.warning("trial %d: %s", trial, caution)
    storage = Storage(workspace)
    task = trial_config.task.load()
    teacher = load_teacher(trial_config.teacher, task, storage.parent().folder(TEACHERS))
    checkpoints = Checkpoints(storage.folder(f"trials/{trial}"), trial_config.digest())
    return distil(trial_config, task, teacher, checkpoints, report, world)


def distil(
    config: TrialConfig,
    task: Task,
    teacher: TeacherNetwork,
    checkpoints: Checkpoints,
    report: Report,
    world: World | None = None,
) -> Outcome:
    """Train the student of `config`, from its last checkpoint if there is one, until the end or a verdict to stop.

    `report` is called at every rung, also again at the rung that a resumed trial had reached: its answer may not have
    arrived. Raises `TrialFailure` with the step if the loss is not finite.
    """
    world = world or SingleWorld()
    if world.size != config.workers:
        raise TrialFailure(
            "user_error",
            f"the trial wants `workers: {config.workers}`, but has {world.size}; give it that many",
        )
    return _Trial(config, task, teacher, checkpoints, report, world).run()


class _Trial:
    def __init__(
        self,
        config: TrialConfig,
        task: Task,
        teacher: TeacherNetwork,
        checkpoints: Checkpoints,
        report: Report,
        world: World,
    ) -> None:
        self.config, self.task, self.teacher = config, task, teacher
        self.checkpoints, self.report, self.world = checkpoints, report, world
        self.training = TrainingStep(config)
        self.optimizer = config.optimizer.build(self.training.parameters())
        self.meter = Meter(config.device)
        self.measurements = Measurements(config, task, teacher)
        self.progress = checkpoints.restore(self.training, self.optimizer, self.meter)

    def run(self) -> Outcome:
        for rung, rung_step in enumerate(self.config.rung_steps()):
            if rung_step < self.progress.step:
                continue
            self._train_until(rung_step)
            fidelity = rung_step / self.config.steps
            metrics = self._rung_metrics()
            verdict = self.report(RungReport(rung, rung_step, fidelity, metrics))
            if verdict == "stop" and fidelity < 1:
                return self._outcome("pruned", metrics)
        return self._outcome("complete", metrics | self.measurements.final(self._features))

    def _outcome(self, state: Literal["complete", "pruned"], metrics: dict[str, float]) -> Outcome:
        digest = tensors_digest(dict(self.training.student.state_dict()))
        return Outcome(state, self.progress.step, self.progress.step / self.config.steps, metrics, digest)

    def _train_until(self, rung_step: int) -> None:
        if self.progress.step == rung_step:  # resumed here: the checkpoint is already there
            return
        began = time.perf_counter()
        while self.progress.step < rung_step:
            self._step(self.progress.step)
            self.progress.step += 1
        self._agree_on_statistics()
        self.progress.device_seconds += time.perf_counter() - began
        if self.world.rank == 0:
            self.checkpoints.save(self.training, self.optimizer, self.meter, self.progress)

    def _step(self, step: int) -> None:
        if step in self.config.estimate_steps():
            self._estimate(step)
        samples = self._samples(step)
        self.optimizer.learning_rate = self.config.optimizer.learning_rate_at(step, self.config.steps)
        taken = self.training(samples, step, self.teacher, self.world)
        self.optimizer.zero_grad()
        taken.loss.backward()
        mean_loss = taken.loss.detach().clone()
        self.world.mean_([mean_loss, *self.optimizer.gradients()])
        self._check(step, float(mean_loss))
        self.optimizer.step()
        self.training.commit(taken)
        self.training.charge(self.meter, taken)

    def _samples(self, step: int) -> Samples:
        """This worker's share of a step.

        A student of frozen features is shown the images as they are: it makes its own views, of the features.
        """
        sample_B, epoch = self._batch(step)
        if self.config.student.reads == "features":
            return Samples(sample_B, self.task.source.images[sample_B], self.task.source.label_N)
        images, second = self.task.views(sample_B, epoch, self.config.seed), None
        if "second_view" in self.config.objective.reads:
            second = self.task.views(sample_B, epoch, stream_seed(self.config.seed, "second view"))
        return Samples(sample_B, images, self.task.source.label_N, second)

    def _estimate(self, step: int) -> None:
        """Show the policy as many images of the source as of the target: of the first transfer set, unlabelled."""
        count = self.config.estimate_samples()
        target = next(iter(self.task.transfer_sets.values())).train
        shown = []
        for images in (self.task.source.images, target.images):
            chosen = torch.randperm(len(images), generator=torch_stream(self.config.seed, "estimate", step))[:count]
            shown.append(images[chosen])
        self.training.estimate(shown[0], shown[1], self.teacher, self.meter)

    def _batch(self, step: int) -> tuple[Tensor, int]:
        """This worker's share of a step's samples, and the epoch: a permutation per epoch, its remainder dropped."""
        samples = self.config.task.source_samples
        epoch, position = divmod(step, samples // self.config.batch_size)
        first = position * self.config.batch_size
        batch_B = _order(samples, self.config.seed, epoch)[first : first + self.config.batch_size]
        return batch_B.chunk(self.world.size)[self.world.rank], epoch

    def _check(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            before = f" (it was {self.progress.loss:.6g} before)" if step else ""
            raise TrialFailure(
                "nan",
                f"the loss must be finite, but is {loss} at step {step} of {self.config.steps}{before}; "
                "lower optimizer.learning_rate or raise objective.temperature",
            )
        self.progress.loss = loss

    def _rung_metrics(self) -> dict[str, float]:
        measured = {TRAIN_LOSS: self.progress.loss, DEVICE_SECONDS: self.progress.device_seconds}
        return {**measured, **self.meter.metrics(), **self.measurements.at_rung(self._features)}

    def _features(self, images: Tensor) -> Tensor:
        return self.training.features(images, self.teacher)

    def _agree_on_statistics(self) -> None:
        """Average what batch normalisation has counted: each worker saw its own share of the batches."""
        if self.config.student.batch_statistics:
            self.world.mean_([b for b in self.training.student.buffers() if b.is_floating_point()])


@functools.lru_cache(maxsize=1)
def _order(samples: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(samples, generator=torch_stream(seed, "order", epoch))
