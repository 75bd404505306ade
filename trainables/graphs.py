"""A student's training pass as CUDA graphs: launching a small network kernel by kernel takes longer than its work."""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

#: Passes before the capture, in which libraries choose their kernels and take their memory.
_WARM_UP = 3


class Captured:
    """A student's forward and backward pass on inputs of one shape, each of them launched as a whole; for a GPU.

    To be called as the student is, with its weights and statistics where they were when it was captured: these may be
    changed, in place. Features and gradients stand where those of the next call will: so a step that calls twice needs
    two of these. Autocast is as it was at the capture, when it must not have kept casts of weights (`cache_enabled`).
    Inside, images lie with their channels last, as tensor cores read them.
    """

    def __init__(self, student: nn.Module, inputs: Tensor) -> None:
        # None of what is kept may hold on to autograd's own graph: it would tie gradients to the stream of the capture.
        self.inputs, self.parameters = channels_last(inputs), list(student.parameters())
        before = [buffer.clone() for buffer in student.buffers()]
        self._warm_up(student)
        self.forward, self.backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.forward, stream=_side_stream()):
            features = student(self.inputs)
        self.features, self.upstream = features.detach(), torch.empty_like(features)
        with torch.cuda.graph(self.backward, pool=self.forward.pool(), stream=_side_stream()):
            self.gradients = self._gradients(features, self.upstream)
        for buffer, value in zip(student.buffers(), before, strict=True):  # statistics know nothing of the warm-up
            buffer.copy_(value)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The features, with gradient."""
        features: Tensor = _Replay.apply(self, inputs, *self.parameters)  # type: ignore[no-untyped-call]  # torch
        return features

    def _warm_up(self, student: nn.Module) -> None:
        stream = _side_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                features = student(self.inputs)
                self._gradients(features, torch.zeros_like(features))
        torch.cuda.current_stream().wait_stream(stream)

    def _gradients(self, features: Tensor, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Of the weights, and laid out as these; None for those that have no part in the features."""
        found = torch.autograd.grad(features, self.parameters, upstream, allow_unused=True)
        return tuple(None if gradient is None else gradient.contiguous() for gradient in found)


def channels_last(inputs: Tensor) -> Tensor:
    """The same values, of images the channels side by side."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


@functools.cache
def _side_stream() -> torch.cuda.Stream:
    """One for all captures: cuBLAS keeps memory for each that it meets, some 65 MB a capture, and never returns it."""
    return torch.cuda.Stream()


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, captured: Captured, inputs: Tensor, *_: Tensor) -> Tensor:
        ctx.captured = captured
        captured.inputs.copy_(inputs)
        captured.forward.replay()
        features: Tensor = captured.features.detach()  # a tensor of its own, which autograd may mark
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Any, ...]:
        captured = ctx.captured
        captured.upstream.copy_(upstream)
        captured.backward.replay()
        return None, None, *(None if gradient is None else gradient.detach() for gradient in captured.gradients)
