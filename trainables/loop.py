"""The training loop: one trial, from its config to its outcome, as a plain function that knows nothing of Ray."""

import functools
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from trainables.checkpoint import Checkpoints
from trainables.compute import Meter
from trainables.config import TrialConfig
from trainables.datasets.ahead import ahead
from trainables.evidence import Task
from trainables.image_sets import ImageSet, evaluation_sets, plain, shown_in, training_sets
from trainables.measure import Measurements
from trainables.metrics import DEVICE_SECONDS, TRAIN_LOSS
from trainables.outcomes import Leaving, Outcome, Report, RungReport, TrialFailure
from trainables.placement import CPU, sent, training_device
from trainables.protocols import World
from trainables.randomness import torch_stream
from trainables.step import Samples, TrainingStep
from trainables.storage import Storage
from trainables.system_metrics import SystemMetrics
from trainables.tasks import TaskConfig
from trainables.teacher import Shown, Teacher, ask, load_teacher
from trainables.teacher_cache import Progress, TeacherCache, cache_folder
from trainables.tensor_files import tensors_digest
from trainables.world import SingleWorld

_LOG = logging.getLogger(__name__)

#: Steps after which losses are looked at, and at each rung: a GPU is not waited for at every step.
_CHECK_EVERY = 64

#: Where teachers are kept, beside the sweeps of a storage folder: every sweep may use them.
TEACHERS = "cache/teachers"
#: And what they make of the images that every trial is shown.
TEACHER_OUTPUTS = "cache/teacher_outputs"


def run_trial(config: Mapping[str, Any], *, trial: int, workspace: str, report: Report, world: World) -> Outcome:
    """Train one trial of a sweep. `workspace` is the sweep's storage folder; teachers are shared beside all sweeps."""
    trial_config = TrialConfig.model_validate(config)
    for caution in trial_config.cautions():
        _LOG.warning("trial %d: %s", trial, caution)
    storage = Storage(workspace)
    device = training_device()
    task, teacher = _task_and_teacher(trial_config, storage, device)
    checkpoints = Checkpoints(storage.folder(f"trials/{trial}"), trial_config.digest())
    return distil(trial_config, task, teacher, checkpoints, report, world, device)


def prepare_trials(config: Mapping[str, Any], workspace: str, share: int, shares: int, progress: Progress) -> None:
    """Do once what all trials like this one need: train the teacher, and fill the cache of its outputs.

    Each of `shares` processes that call this with a number of its own (`share`, from 0) does a part, and the last ones
    help those that are behind; it returns when everything is there. Nothing that is there is done again, so that one
    that was killed goes on. A trial that nobody has prepared does by itself what it lacks. To be called with as many
    threads of torch as the trials will have: the cache's last bits depend on it.
    """
    trial_config = TrialConfig.model_validate(config)
    task, teacher = _task_and_teacher(trial_config, Storage(workspace), training_device())
    sets = evaluation_sets(task).distinct()
    if trial_config.teacher_cache:
        names = {image_set.name for image_set in sets}
        sets += [image_set for image_set in training_sets(trial_config, task) if image_set.name not in names]
    teacher.fill(sets, share, shares, progress)


def open_teacher(config: Teacher, task: Task, cache: Storage, device: torch.device = CPU) -> TeacherCache:
    """The teacher, trained if nobody has, and what is known of its outputs; `cache` is the folder of all sweeps.

    Raises `DamagedFile` if the stored teacher is not what was written (and see `load_teacher`).
    """
    network = load_teacher(config, task, cache.folder(TEACHERS)).to(device)
    return TeacherCache(network, cache.folder(f"{TEACHER_OUTPUTS}/{cache_folder(config, task, network)}"))


def _task_and_teacher(config: TrialConfig, sweep: Storage, device: torch.device) -> tuple[Task, TeacherCache]:
    return _opened(config.task, config.teacher, sweep.parent().uri, device, torch.get_num_threads())


@functools.lru_cache(maxsize=4)
def _opened(
    task: TaskConfig,
    teacher: Teacher,
    uri: str,
    device: torch.device,
    threads: int,  # noqa: ARG001 (the outputs of a teacher depend on them, too)
) -> tuple[Task, TeacherCache]:
    """Frozen, so that the trials of a slot share them."""
    loaded = task.load()
    return loaded, open_teacher(teacher, loaded, Storage(uri), device)


def distil(
    config: TrialConfig,
    task: Task,
    teacher: TeacherCache,
    checkpoints: Checkpoints,
    report: Report,
    world: World | None = None,
    device: torch.device = CPU,
) -> Outcome:
    """Train the student of `config`, from its last checkpoint if there is one, until the end or a verdict to stop.

    `report` is called at every rung, also again at the rung that a resumed trial had reached: its answer may not have
    arrived. `device` is where it is trained; no step waits for it (but those of a memory of prototypes or replay, of a
    bank that does not keep every sample, of a policy that asks for estimates, and of embeddings too wide for the GPU's
    kernel). Raises `TrialFailure` with the step if the loss is not finite, and if no checkpoint of several is whole;
    `Leaving` after a checkpoint of the step that it had reached, when a worker is about to be taken away.
    """
    world = world or SingleWorld()
    if world.size != config.workers:
        raise TrialFailure(
            "user_error",
            f"the trial wants `workers: {config.workers}`, but has {world.size}; give it that many",
        )
    return _Trial(config, task, teacher, checkpoints, report, world, device).run()


@dataclass(frozen=True)
class _Read:
    """What a step is shown of one image set, and of another where it reads a second view."""

    sample_B: Tensor
    shown: ImageSet
    images: Tensor
    second_images: Tensor | None


class _Trial:
    def __init__(
        self,
        config: TrialConfig,
        task: Task,
        teacher: TeacherCache,
        checkpoints: Checkpoints,
        report: Report,
        world: World,
        device: torch.device,
    ) -> None:
        self.config, self.task, self.teacher, self.device = config, task, teacher, device
        self.checkpoints, self.report, self.world = checkpoints, report, world
        self.training = TrainingStep(config).to(device)
        self.label_N = task.source.label_N.to(device)
        self.reads: Iterator[_Read] = iter(())  # of the steps up to the next rung
        self.losses: list[Tensor] = []  # of the last steps, not looked at yet
        self.optimizer = config.optimizer.build(self.training.parameters())
        self.meter = Meter(config.device)
        self.measurements = Measurements(config, task, teacher)
        self.progress = checkpoints.restore(self.training, self.optimizer, self.meter)
        self.looked_at = self.progress.step
        self.system = SystemMetrics(device)

    def run(self) -> Outcome:
        for rung, rung_step in enumerate(self.config.rung_steps()):
            if rung_step < self.progress.step:
                continue
            steps = range(self.progress.step, rung_step)
            with closing(ahead(self._read, steps, self.config.task.readers)) as self.reads:
                self._train_until(rung_step)
            fidelity = rung_step / self.config.steps
            measured = self.measurements.of(self._features, self.training.classified)
            metrics = self._rung_metrics() | measured.quick()
            verdict = self.report(RungReport(rung, rung_step, fidelity, metrics))
            if verdict == "stop" and fidelity < 1:
                return self._outcome("pruned", metrics)
        return self._outcome("complete", metrics | measured.final())

    def _outcome(self, state: Literal["complete", "pruned"], metrics: dict[str, float]) -> Outcome:
        digest = tensors_digest(dict(self.training.result.state_dict()))
        return Outcome(state, self.progress.step, self.progress.step / self.config.steps, metrics, digest)

    def _train_until(self, rung_step: int) -> None:
        if self.progress.step == rung_step:  # resumed here: the checkpoint is already there
            return
        began = time.perf_counter()
        if self.device.type == "cuda":
            self.training.capture()
        while self.progress.step < rung_step:
            if self.world.leaving():
                self._save(began)
                raise Leaving
            try:
                self._step(self.progress.step)
            except Exception:
                self._check_losses()  # what is not finite may have broken something else first
                raise
            self.progress.step += 1
            if len(self.losses) == _CHECK_EVERY:
                self._check_losses()
        self._save(began)

    def _save(self, began: float) -> None:
        """A checkpoint of what was trained since `began`, on the clock of `time.perf_counter`.

        Another than that of a rung changes nothing of what follows, but that the statistics of batch normalisation are
        averaged once more, where there are several workers.
        """
        self._check_losses()
        self._agree_on_statistics()
        self.progress.device_seconds += time.perf_counter() - began
        if self.world.rank == 0:
            self.checkpoints.save(self.training, self.optimizer, self.meter, self.progress)

    def _step(self, step: int) -> None:
        if step in self.config.estimate_steps():
            self._estimate(step)
        samples = self._samples(next(self.reads))
        self.optimizer.learning_rate = self.config.optimizer.learning_rate_at(step, self.config.steps)
        taken = self.training(samples, step, self.world)
        self.optimizer.zero_grad()
        taken.loss.backward()
        mean_loss = taken.loss.detach().clone()
        self.world.mean_([mean_loss, *self.optimizer.gradients()])
        self.losses.append(mean_loss)
        self.optimizer.step()
        self.training.commit(taken)
        self.training.charge(self.meter, taken)

    def _read(self, step: int) -> _Read:
        """This worker's share of a step, in the memory of the host; by whichever thread, ahead of the step."""
        sample_B, epoch = self._batch(step)
        first, second = shown_in(self.config, self.task, epoch)
        twice = "second_view" in self.config.objective.reads
        return _Read(sample_B, first, first.images(sample_B), second.images(sample_B) if twice else None)

    def _samples(self, read: _Read) -> Samples:
        """This worker's share of a step."""
        second_images = None if read.second_images is None else sent(read.second_images, self.device)
        return Samples(sent(read.sample_B, self.device), self._shown(read), self.label_N, second_images)

    def _shown(self, read: _Read) -> Shown:
        """Images, and what the teacher makes of them: the one place where training asks for that."""
        images = sent(read.images, self.device)
        kept = self.config.teacher_cache
        outputs = self.teacher.rows(read.shown, read.sample_B) if kept else ask(self.teacher.network, images)
        return Shown(images, outputs.on(self.device))

    def _features(self, shown: Shown) -> Tensor:
        """What is measured, on the CPU, where probes are fitted."""
        return self.training.features(shown.on(self.device)).cpu()

    def _estimate(self, step: int) -> None:
        """Show the policy as many images of the source as of the target: of the first transfer set, unlabelled."""
        count = self.config.estimate_samples()
        target = next(iter(self.measurements.sets.transfer.values()))["train"]
        shown = []
        for image_set in (plain(self.task), target):
            generator = torch_stream(self.config.seed, "estimate", step)
            chosen = torch.randperm(len(image_set), generator=generator)[:count]
            shown.append(Shown(image_set.images(chosen), self.teacher.rows(image_set, chosen)).on(self.device))
        self.training.estimate(shown[0], shown[1], self.meter)

    def _batch(self, step: int) -> tuple[Tensor, int]:
        """This worker's share of a step's samples, and the epoch: a permutation per epoch, its remainder dropped."""
        samples = self.config.task.source_samples
        epoch, position = divmod(step, samples // self.config.batch_size)
        first = position * self.config.batch_size
        batch_B = _order(samples, self.config.seed, epoch)[first : first + self.config.batch_size]
        return batch_B.chunk(self.world.size)[self.world.rank], epoch

    def _check_losses(self) -> None:
        """Look at the losses since the last look: that is when a GPU is waited for."""
        losses, self.losses = torch.stack(self.losses).tolist() if self.losses else [], []
        for step, loss in enumerate(losses, start=self.looked_at):
            if not math.isfinite(loss):
                before = f" (it was {self.progress.loss:.6g} before)" if step else ""
                raise TrialFailure(
                    "nan",
                    f"the loss must be finite, but is {loss} at step {step} of {self.config.steps}{before}; "
                    "lower optimizer.learning_rate or raise objective.temperature",
                )
            self.progress.loss = loss
        self.looked_at += len(losses)

    def _rung_metrics(self) -> dict[str, float]:
        measured = {TRAIN_LOSS: self.progress.loss, DEVICE_SECONDS: self.progress.device_seconds}
        return measured | self.meter.metrics() | self.system.read()

    def _agree_on_statistics(self) -> None:
        """Average what batch normalisation has counted: each worker saw its own share of the batches."""
        if self.config.student.batch_statistics:
            networks = {self.training.student, self.training.result}
            self.world.mean_([b for network in networks for b in network.buffers() if b.is_floating_point()])


@functools.lru_cache(maxsize=1)
def _order(samples: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(samples, generator=torch_stream(seed, "order", epoch))
