"""What a trial costs, known before it starts: nominal operations on a named reference device.

FLOPs alone would hide what a sweep of contrast varies: negatives are a few per cent of a network's FLOPs and a memory
none at all, while both move bytes. So the cost of an operation is the time in which the reference device could do it,
``max(FLOPs / FLOP rate, bytes / bandwidth)`` (the roofline of Williams et al. 2009), and a trial's cost is the sum over
its operations. It is deterministic, the same on every machine, and independent of how fast this implementation is.

`Meter` charges what a running trial really did, with the shapes that it really had; the two agree (tests).
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from trainables.communication import step_sent_bytes
from trainables.config import TrialConfig
from trainables.device import Device
from trainables.metrics import (
    BYTES,
    COMMUNICATED_BYTES,
    COST_S,
    FLOPS,
    PEAK_BYTES,
    TEACHER_FLOPS,
    TEACHER_FLOPS_AMORTISED,
)
from trainables.models import ModelConfig
from trainables.protocols import Operation, Shapes

_FLOAT_BYTES = 4


@dataclass
class Meter:
    """Counts operations: those that a trial plans, or those that a running one has done so far.

    Counts, not sums of seconds: no rounding then tells a trial from its plan, however many steps it takes.
    """

    device: Device
    done: Counter[Operation] = field(default_factory=Counter)

    @property
    def flops(self) -> int:
        """Floating-point operations of all."""
        return sum(times * operation.flops for operation, times in self.done.items())

    @property
    def bytes(self) -> int:
        """Bytes moved by all."""
        return sum(times * operation.bytes for operation, times in self.done.items())

    @property
    def cost_s(self) -> float:
        """Modelled seconds on the reference device."""
        return math.fsum(times * self.device.seconds(operation) for operation, times in self.done.items())

    def charge(self, operations: Iterable[Operation], times: int = 1) -> None:
        """Add operations, each done `times` times."""
        for operation in operations:
            self.done[operation] += times

    def metrics(self) -> dict[str, float]:
        """The totals, by metric name."""
        return {COST_S: self.cost_s, FLOPS: float(self.flops), BYTES: float(self.bytes)}


def planned_metrics(config: TrialConfig, trials: int = 1) -> dict[str, float]:
    """Full cost of a trial by metric name (`trainables.metrics.PLANNED_METRICS`); nothing is trained for it.

    An upper bound where a policy may draw fewer negatives while the trial runs. The teacher's FLOPs are what the trial
    spends on it in training, and, amortised, these and its part in filling a cache that `trials` share. Peak bytes are
    those of one worker, and so is what is communicated: sent in all steps.
    """
    meter = Meter(config.device)
    shapes = config.shapes()
    meter.charge(step_operations(config, shapes), times=config.steps)
    meter.charge(estimate_operations(config), times=len(config.estimate_steps()))
    fill = _fill_flops(config) if config.teacher_cache else 0
    marginal = 0 if config.teacher_cache else config.steps * _teacher_forward(config, shapes.batch).flops
    return {
        **meter.metrics(),
        PEAK_BYTES: float(_peak_bytes(config, shapes)),
        COMMUNICATED_BYTES: config.steps * step_sent_bytes(config) if config.workers > 1 else 0.0,
        TEACHER_FLOPS: float(marginal),
        TEACHER_FLOPS_AMORTISED: marginal + fill / trials,
    }


def step_operations(config: TrialConfig, shapes: Shapes) -> list[Operation]:
    """The nominal operations of one training step.

    The backward pass of a product is one product of its size for each operand that wants a gradient: weights do, images
    and features of the frozen teacher do not. It is derived, not counted, because torch's counter overcounts the
    backward of grouped convolutions.
    """
    objective = config.objective
    views = 2 if "second_view" in objective.reads else 1
    student = _student_layers(config, shapes.batch)
    operations = [
        _sum("student_forward", [(layer, views) for layer in student]),
        _sum("student_backward", [(layer, views * layer.operands_with_gradient) for layer in student]),
        _teacher_in_training(config, shapes.batch),
        *_heads(config, shapes, views),
    ]
    if objective.sides:
        operations += config.memory.operations(shapes, objective.sides)
    if objective.draws:
        operations += config.negatives.operations(shapes)
    return operations + objective.operations(shapes)


def estimate_operations(config: TrialConfig) -> list[Operation]:
    """One estimate of mutual information, on images of source and of target: the student and both heads, forward.

    What the teacher makes of these images is known: they are among those that every trial is measured on.
    """
    images = 2 * config.estimate_samples()
    widths = config.student_width(), config.teacher_width()
    heads = [_linear(images, width, config.embedding) for width in widths]
    student = count_layers(config.student, config.student_inputs(), images)
    return [_sum("estimate", [(layer, 1) for layer in [*student, *heads]]), _teacher_read(images, widths[1])]


def _sum(name: str, products: Sequence[tuple["Layer", int]]) -> Operation:
    flops = sum(times * layer.flops for layer, times in products)
    return Operation(name, flops, sum(times * layer.bytes for layer, times in products))


def _teacher_forward(config: TrialConfig, images: int) -> Operation:
    """The frozen network, with its classifier where logits are read."""
    layers = count_layers(config.teacher.model, config.task_inputs(), images)
    if "logits" in config.objective.reads:
        layers = [*layers, _linear(images, config.teacher_width(), config.task.classes)]
    return _sum("teacher_forward", [(layer, 1) for layer in layers])


def _teacher_in_training(config: TrialConfig, images: int) -> Operation:
    """The network, or, where there is a cache, what is read of it: features, and logits where they are read."""
    if not config.teacher_cache:
        return _teacher_forward(config, images)
    logits = config.task.classes if "logits" in config.objective.reads else 0
    return _teacher_read(images, config.teacher_width() + logits)


def _teacher_read(images: int, width: int) -> Operation:
    return Operation("teacher_read", 0, images * width * _FLOAT_BYTES)


def _fill_flops(config: TrialConfig) -> int:
    """Everything that a trial is shown, once: each view of each source image."""
    views = 1 if config.student.reads == "features" else config.views or 0
    return views * _teacher_forward(config, config.task.source_samples).flops


def _heads(config: TrialConfig, shapes: Shapes, views: int) -> list[Operation]:
    """Projections of both networks, of which the teacher's may learn, and the student's classifier."""
    objective, forward, backward = config.objective, [], []
    if "embeddings" in objective.reads:
        student = _linear(shapes.batch, config.student_width(), shapes.width)
        teacher = _linear(shapes.batch, config.teacher_width(), shapes.width)
        forward += [(student, views), (teacher, 1)]
        backward += [(student, 2 * views), (teacher, int(objective.trains_teacher_head))]
    if "logits" in objective.reads:
        classifier = _linear(shapes.batch, config.student_width(), shapes.classes)
        forward += [(classifier, 1)]
        backward += [(classifier, 2)]
    return [_sum("heads_forward", forward), _sum("heads_backward", backward)]


def _linear(batch: int, inputs: int, outputs: int) -> "Layer":
    values = batch * (inputs + outputs) + inputs * outputs + outputs
    return Layer(2 * batch * inputs * outputs, values * _FLOAT_BYTES, batch * outputs * _FLOAT_BYTES, 2)


def _peak_bytes(config: TrialConfig, shapes: Shapes) -> int:
    """Of one worker: weights (the student's with gradient and momentum), the memory, which each has whole, and, of its
    share of the batch, activations kept for backward, and scores.
    """
    objective, batch = config.objective, shapes.batch // config.workers
    activations = sum(layer.output_bytes for layer in _student_layers(config, batch))
    weights = 3 * _weight_bytes(config.student, config.student_inputs())
    if not config.teacher_cache:
        weights += _weight_bytes(config.teacher.model, config.task_inputs())
    drawn = objective.draws and shapes.mode != "full"
    pairs = batch * (1 + (shapes.negatives if drawn else shapes.rows))
    memory = config.memory.resident_bytes(shapes, objective.sides) if objective.sides else 0
    return weights + activations + memory + objective.sides * pairs * (_FLOAT_BYTES + 8)


def _student_layers(config: TrialConfig, batch: int) -> list["Layer"]:
    generates = "likelihood" in config.objective.reads
    return count_layers(config.student, config.student_inputs(), batch, generates=generates)


@functools.cache
def _weight_bytes(model: ModelConfig, inputs: tuple[int, ...]) -> int:
    network: torch.nn.Module = _built(model, inputs)
    return _FLOAT_BYTES * sum(parameter.numel() for parameter in network.parameters())


@functools.lru_cache(maxsize=1)
def _built(model: ModelConfig, inputs: tuple[int, ...]) -> Any:
    """The network, on the CPU: for tensors without data torch would load its compiler, for seconds."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # the generator is somebody else's
        return model.build(inputs)


@dataclass(frozen=True)
class Layer:
    """A product inside a network: convolution or matrix product. Elementwise operations count as fused into it."""

    flops: int
    bytes: int
    output_bytes: int
    operands_with_gradient: int


@functools.cache
def count_layers(model: ModelConfig, inputs: tuple[int, ...], batch: int, *, generates: bool = False) -> list[Layer]:
    """The products of one forward pass. With `generates`, those of the likelihood of the images too.

    What a product takes grows by the same with each image, so that a pass with two and one with three say all.
    """
    two, three = (_products(model, inputs, images, generates) for images in (2, 3))
    return [_extrapolated(*pair, batch - 2) for pair in zip(two, three, strict=True)]


def _extrapolated(two: Layer, three: Layer, beyond: int) -> Layer:
    def of(counted: int, counted_with_one_more: int) -> int:
        return counted + beyond * (counted_with_one_more - counted)

    return Layer(
        of(two.flops, three.flops),
        of(two.bytes, three.bytes),
        of(two.output_bytes, three.output_bytes),
        two.operands_with_gradient,
    )


def _products(model: ModelConfig, inputs: tuple[int, ...], batch: int, generates: bool) -> list[Layer]:
    network, images, counter = _built(model, inputs), model.blank(batch, inputs), _LayerCounter()
    with torch.enable_grad(), counter:  # whoever asks: the layers must know which operands want a gradient
        features = network(images)
        if generates:
            network.negative_log_likelihood(features, images)
    return counter.layers


class _LayerCounter(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; to keep its compiler out of this class torch would load it

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[Layer] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            flops = flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=output)
            operands = [value for value in args if isinstance(value, Tensor)]
            bytes_moved = sum(tensor.nbytes for tensor in [*operands, output])
            with_gradient = sum(tensor.requires_grad for tensor in operands if tensor.dim() > 1)  # a bias is only added
            self.layers.append(Layer(int(flops), bytes_moved, output.nbytes, with_gradient))
        return output
