"""What holds for every objective, with every memory and every sampler of negatives."""

import math

import pytest
import torch
from torch import Tensor

from tests.contracts.families import NAMED
from tests.trainables.trials import all_combinations, combination_id, shown_to, small, teacher_of
from trainables.base import Config
from trainables.config import TrialConfig
from trainables.protocols import Contrast, World
from trainables.step import Samples, TrainingStep
from trainables.world import SingleWorld

each_objective = pytest.mark.parametrize("member", NAMED["objectives"], ids=lambda member: member.__name__)
each_combination = pytest.mark.parametrize("config", all_combinations(), ids=combination_id)
WORLD = SingleWorld()


class Watched(torch.nn.Module):
    """The objective, and the contrast that it was given, with rows that would collect gradient."""

    def __init__(self, objective: torch.nn.Module) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, contrast: Contrast, world: World) -> Tensor:
        self.contrast = contrast
        loss: Tensor = self.objective(contrast, world)
        return loss


def steps(config: TrialConfig, count: int) -> tuple[TrainingStep, Watched, Tensor]:
    """The parts of a trial after `count` steps, without an optimiser, and the last loss with its gradient taken."""
    task = config.task.load()
    training = TrainingStep(config)
    watched = Watched(training.objective)
    training.objective = watched
    for step in range(count):
        sample_B = torch.arange(config.batch_size) + step * config.batch_size // 2
        training.zero_grad()
        samples = Samples(
            sample_B,
            shown_to(config, task.views(sample_B, epoch=step, seed=0)),
            task.source.label_N,
            task.views(sample_B, epoch=step, seed=1),
        )
        taken = training(samples, step, WORLD)
        taken.loss.backward()
        training.commit(taken)
    return training, watched, taken.loss


@each_objective
def test_declares_what_it_reads(member: type[Config]) -> None:
    objective = small(member)
    assert objective.reads <= {"embeddings", "second_view", "logits", "likelihood"}
    assert objective.reads
    assert objective.sides in (0, 1, 2)
    assert (objective.sides > 0) == ("embeddings" in objective.reads)
    assert not (objective.draws and not objective.sides)
    assert not (objective.relaxes and not objective.uses_labels)


@each_combination
def test_loss_and_gradient_are_finite_and_reach_every_weight(config: TrialConfig) -> None:
    training, _, loss = steps(config, 3)
    assert loss.shape == ()
    assert math.isfinite(loss.item())
    for name, parameter in training.named_parameters():
        if not parameter.requires_grad:
            assert name.startswith("teacher_head"), name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@each_combination
def test_memory_and_what_is_read_of_it_carry_no_gradient(config: TrialConfig) -> None:
    training, watched, _ = steps(config, 2)
    contrast = watched.contrast
    memory = training.pairing.memory
    tensors = [contrast.rows.student_MD, contrast.rows.teacher_MD, *memory.buffers()]
    tensors += [value for value in vars(contrast.draws).values() if isinstance(value, Tensor)]
    for tensor in tensors:
        assert not tensor.requires_grad
        assert tensor.grad is None
    assert not list(memory.parameters())


@each_combination
def test_an_objective_gets_what_it_reads_and_nothing_else(config: TrialConfig) -> None:
    training, watched, _ = steps(config, 1)
    contrast, reads = watched.contrast, config.objective.reads
    assert (contrast.student_BD.numel() > 0) == ("embeddings" in reads)
    assert (contrast.student_logits_BC is not None) == (contrast.teacher_logits_BC is not None) == ("logits" in reads)
    assert (contrast.second_student_BD is not None) == ("second_view" in reads)
    assert (contrast.nll_B is not None) == ("likelihood" in reads)
    assert (contrast.label_B is not None) == config.objective.uses_labels
    assert contrast.draws.count == (config.negatives.count if config.objective.draws else 0)
    heads = {name.split(".")[0] for name, _ in training.named_parameters()} - {"student", "objective"}
    embedding = {"student_head", "teacher_head"} if "embeddings" in reads else set()
    assert heads == embedding | ({"classifier"} if "logits" in reads else set())


@each_objective
def test_the_teacher_stays_as_it_is(member: type[Config]) -> None:
    config = next(config for config in all_combinations() if type(config.objective) is member)
    teacher = teacher_of(config.teacher, config.task)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    steps(config, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


@each_objective
def test_a_loss_that_has_begun_goes_on_from_its_state(member: type[Config]) -> None:
    config = next(config for config in all_combinations() if type(config.objective) is member)
    _, watched, _ = steps(config, 2)
    contrast, begun = watched.contrast, watched.objective
    restored = small(member).build()
    restored.load_state_dict(begun.state_dict())
    # more alike than the first batch was, so that a normaliser set anew would show
    nearer = Contrast(**(vars(contrast) | {"teacher_BD": contrast.student_BD}))
    assert torch.equal(restored(nearer, WORLD), begun(nearer, WORLD))
