"""Values whose gradients are known beforehand."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value_B: Tensor, *slopes_and_inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*slopes_and_inputs[::2])
        return value_B.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_B: Tensor) -> tuple[Tensor | None, ...]:
        gradients: list[Tensor | None] = [None]
        for slope, wanted in zip(ctx.saved_tensors, ctx.needs_input_grad[2::2], strict=True):
            gradients.append(None)
            gradients.append(_chain(gradient_B, slope) if wanted else None)
        return tuple(gradients)


def _chain(gradient_B: Tensor, slope: Tensor) -> Tensor:
    """Gradient of anchors (B, D) from their slopes, or of a scalar from its slopes (B,)."""
    return gradient_B.unsqueeze(1) * slope if slope.dim() == 2 else gradient_B @ slope


def with_slopes(value_B: Tensor, *slopes: tuple[Tensor, Tensor]) -> Tensor:
    """`value_B` (B,), and for each (slope, input) its derivative: (B, D) for anchors (B, D), (B,) for a scalar."""
    flat = [tensor for slope in slopes for tensor in slope]
    value: Tensor = _Known.apply(value_B, *flat)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return value
