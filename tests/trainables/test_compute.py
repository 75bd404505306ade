"""The plan of a trial is what it does, and what it does is what torch counts."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.trainables.trials import (
    BATCH,
    all_combinations,
    combination_id,
    each_member_once,
    small_trial,
    teacher_of,
    train,
)
from trainables.compute import Meter, planned_metrics, step_operations
from trainables.config import TrialConfig
from trainables.device import Device
from trainables.memory.bank import Bank
from trainables.memory.in_batch import InBatch
from trainables.memory.queue import Queue
from trainables.metrics import BYTES, COST_S, FLOPS, PEAK_BYTES, PLANNED_METRICS, TEACHER_FLOPS, TEACHER_FLOPS_AMORTISED
from trainables.models.adapter import Adapter
from trainables.models.convnet import ConvNet
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.protocols import Contrast, Operation, World
from trainables.step import Samples, TrainingStep
from trainables.teacher import Shown, Teacher, TeacherOutputs
from trainables.world import SingleWorld

each_member = pytest.mark.parametrize("config", each_member_once(), ids=combination_id)
PLAIN = [config for config in all_combinations() if config.negatives.name == "uniform"]  # it multiplies nothing
each_objective = pytest.mark.parametrize(
    "config",
    [
        *{config.objective.name: config for config in PLAIN}.values(),
        small_trial(objective=InfoNCE(positive="view")),
        small_trial(objective=InfoNCE(positive="view"), student=Adapter(hidden=8)),
    ],
    ids=lambda config: f"{config.objective.name}-{config.student.name}",
)
NETWORKS = ("student_forward", "student_backward", "teacher_forward", "heads_forward", "heads_backward")


@each_member
def test_a_finished_trial_has_cost_exactly_what_was_planned(config: TrialConfig, tmp_path: Path) -> None:
    planned, metrics = planned_metrics(config), train(config, tmp_path).metrics
    assert tuple(planned) == PLANNED_METRICS
    for name in (COST_S, FLOPS, BYTES):
        assert metrics[name] == planned[name] > 0


CACHED = {
    "image": {"views": 3, "teacher_cache": True},
    "logits": {"views": 3, "teacher_cache": True, "objective": KD()},
    "features": {"teacher_cache": True, "objective": InfoNCE(positive="view"), "student": Adapter(hidden=8)},
}


@pytest.mark.parametrize("changes", CACHED.values(), ids=list(CACHED))
def test_with_a_cache_a_trial_costs_what_was_planned_and_reads_in_the_place_of_the_teacher(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    config, without = small_trial(**changes), small_trial(**changes | {"teacher_cache": False})
    planned, metrics = planned_metrics(config), train(config, tmp_path).metrics
    for name in (COST_S, FLOPS, BYTES):
        assert metrics[name] == planned[name] > 0
    before, after = (
        {operation.name: operation for operation in step_operations(each, each.shapes())} for each in (without, config)
    )
    forward, read = before.pop("teacher_forward"), after.pop("teacher_read")
    assert before == after
    assert read.flops == 0
    assert read.bytes == BATCH * 4 * (config.teacher_width() + (6 if "logits" in config.objective.reads else 0))
    dear = planned_metrics(without)
    assert dear[TEACHER_FLOPS] == dear[TEACHER_FLOPS_AMORTISED] == dear[FLOPS] - planned[FLOPS] == 12 * forward.flops
    views = config.views or 1
    filled = views * forward.flops * config.task.source_samples // BATCH
    assert planned[TEACHER_FLOPS] == 0
    assert planned[TEACHER_FLOPS_AMORTISED] == filled
    assert planned_metrics(config, trials=40)[TEACHER_FLOPS_AMORTISED] == filled / 40
    assert dear[PEAK_BYTES] > planned[PEAK_BYTES]


class Summed(torch.nn.Module):
    """Stands in for the objective: reads what it would read, and multiplies nothing."""

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (as an objective is called)
        read = [
            contrast.student_BD,
            contrast.teacher_BD,
            contrast.second_student_BD,
            contrast.student_logits_BC,
            contrast.nll_B,
        ]
        return torch.stack([tensor.sum() for tensor in read if tensor is not None]).sum()


@each_objective
def test_networks_and_heads_cost_what_torch_counts_on_a_real_step(config: TrialConfig) -> None:
    training, world = TrainingStep(config), SingleWorld()
    training.objective = Summed()
    teacher, task = teacher_of(config.teacher, config.task), config.task.load()
    sample_B = torch.arange(BATCH)
    images = task.views(sample_B, 0, 0)
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            shown = Shown(images, TeacherOutputs(*teacher(images)))
        samples = Samples(sample_B, shown, task.source.label_N, task.views(sample_B, 0, 1))
        training(samples, 0, world).loss.backward()
    nominal = sum(
        operation.flops for operation in step_operations(config, config.shapes()) if operation.name in NETWORKS
    )
    if "logits" not in config.objective.reads:  # the teacher classifies anyway
        nominal += 2 * BATCH * config.teacher_width() * config.task.classes
    assert counter.get_total_flops() == nominal


def test_costs_worked_out_by_hand() -> None:
    config = small_trial(
        student=ConvNet(width=1),
        teacher=Teacher(model=ConvNet(width=1)),
        objective=CRD(temperature=0.1),
        memory=Queue(size=5),
        negatives=Uniform(count=3),
        embedding=4,
        batch_size=2,
        steps=10,
        rungs=1,
        device=Device(name="by hand", flops_per_s=1000.0, bytes_per_s=100.0),
    )
    # Convolutions 3 x 3, two FLOPs per multiply-add: 8 x 8 positions of 1 channel; 4 x 4 of 2 from 1; 2 x 2 of 4 from 2
    layers = [2 * 2 * 64 * 9, 2 * 2 * 16 * 2 * 9, 2 * 2 * 4 * 4 * 9 * 2]
    # Input, weights, output, in values of four bytes, for a batch of 2.
    moved = [
        4 * (2 * 64 + 9 + 2 * 64),
        4 * (2 * 64 + 2 * 9 + 2 * 2 * 16),
        4 * (2 * 2 * 16 + 4 * 2 * 9 + 2 * 4 * 4),
    ]
    head = (2 * 2 * 16 * 4, 4 * (2 * 16 + 16 * 4 + 4 + 2 * 4))  # 16 features to 4
    pairs = 2 * (1 + 3)
    expected = [
        Operation("student_forward", sum(layers), sum(moved)),
        # Weights and inputs want a gradient, images do not.
        Operation("student_backward", 2 * sum(layers) - layers[0], 2 * sum(moved) - moved[0]),
        Operation("teacher_forward", sum(layers), sum(moved)),
        Operation("heads_forward", 2 * head[0], 2 * head[1]),
        Operation("heads_backward", 3 * head[0], 3 * head[1]),
        Operation("memory_write", 0, 2 * 2 * 4 * 4),
        # Both directions: products and their gradient; all five rows, the scores, the drawn indices.
        Operation("contrast", 2 * 2 * 2 * pairs * 4, 2 * (5 * 4 * 4 + pairs * (4 + 8))),
    ]
    assert step_operations(config, config.shapes()) == expected
    seconds = sum(max(operation.flops / 1000, operation.bytes / 100) for operation in expected)
    planned = planned_metrics(config)
    assert planned[COST_S] == pytest.approx(10 * seconds, rel=1e-12)
    assert planned[FLOPS] == 10 * sum(operation.flops for operation in expected)
    assert planned[BYTES] == 10 * sum(operation.bytes for operation in expected)
    weights = 4 * ((9 + 2) + (18 + 4) + (72 + 8))  # with scale and shift of each normalisation
    activations = 4 * (2 * 64 + 2 * 2 * 16 + 2 * 4 * 4)
    memory = 5 * (2 * 4 * 4 + 8)
    assert planned[PEAK_BYTES] == 3 * weights + weights + activations + memory + 2 * pairs * (4 + 8)


def test_plan_and_meter_agree_after_many_steps() -> None:
    config = small_trial()
    plan, meter = Meter(config.device), Meter(config.device)
    operations = step_operations(config, config.shapes())
    plan.charge(operations, times=100_000)
    for _ in range(100_000):
        meter.charge(operations)
    assert meter.metrics() == plan.metrics()


LADDERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "negatives": lambda rung: {"negatives": Uniform(count=2**rung), "memory": Bank(size=256)},
    "negatives_in_batch": lambda rung: {
        "negatives": Uniform(count=2**rung),
        "memory": InBatch(),
        "batch_size": 256,
    },
    "queue": lambda rung: {"memory": Queue(size=100 * 3**rung)},
    "bank": lambda rung: {"memory": Bank(size=20 * 2 ** min(rung, 5) + rung)},
    "student": lambda rung: {"student": ConvNet(width=1 + rung)},
    "teacher": lambda rung: {"teacher": Teacher(model=ConvNet(width=1 + rung))},
    "embedding": lambda rung: {"embedding": 2 ** (rung + 1)},
    "batch": lambda rung: {"batch_size": 16 * (1 + rung)},
}
GROWS_MEMORY = {"queue", "bank", "student", "teacher", "embedding", "batch", "negatives"}


@pytest.mark.parametrize("ladder", LADDERS)
@pytest.mark.parametrize("objective", [CRD(), InfoNCE(), KD()], ids=lambda objective: objective.name)
def test_more_never_costs_less(ladder: str, objective: Any) -> None:
    plans = [planned_metrics(small_trial(objective=objective, **LADDERS[ladder](rung))) for rung in range(8)]
    for less, more in itertools.pairwise(plans):
        assert all(more[name] >= less[name] for name in PLANNED_METRICS)
    grows = objective.sides or ladder not in ("negatives", "negatives_in_batch", "queue", "bank", "embedding")
    assert (plans[-1][COST_S] > plans[0][COST_S]) == bool(grows)
    if grows and ladder in GROWS_MEMORY:
        assert plans[-1][PEAK_BYTES] > plans[0][PEAK_BYTES]


def test_a_memory_shows_in_the_peak_and_an_operation_takes_its_slower_side() -> None:
    with_queue, with_bank = (planned_metrics(small_trial(memory=memory)) for memory in (Queue(size=50), Bank(size=50)))
    nothing = planned_metrics(small_trial(memory=InBatch()))
    assert with_queue[PEAK_BYTES] - nothing[PEAK_BYTES] == 50 * (2 * 8 * 4 + 8)
    assert with_bank[PEAK_BYTES] - with_queue[PEAK_BYTES] == 1083 * 8  # the row of each sample
    device = Device(name="test", flops_per_s=10, bytes_per_s=5)
    assert device.seconds(Operation("", flops=100, bytes=5)) == 10
    assert device.seconds(Operation("", flops=10, bytes=100)) == 20


def test_a_plan_is_the_same_where_no_gradient_is_wanted() -> None:
    config = small_trial(student=ConvNet(width=37))  # a width that no other test has cached
    with torch.no_grad():
        without = planned_metrics(config)
    assert without == planned_metrics(small_trial(student=ConvNet(width=37)))
    backward = {operation.name: operation.flops for operation in step_operations(config, config.shapes())}
    assert backward["student_backward"] > backward["student_forward"]
