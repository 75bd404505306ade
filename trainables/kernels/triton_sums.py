"""Sums over the negatives on a GPU: one kernel, for all rows, shared rows and rows of their own.

Programs divide the anchors into tiles, and the rows into splits so that all cores of the device have work; each leaves
the sums of its split, which are put together afterwards. Nothing is added by atomics, so that sums have the same bits
each time, nothing waits for the device, and nothing of size B x R is made, nor B x K x D where each anchor draws K.
"""

import math
import os

import torch
from torch import Tensor

from trainables.draws import Draws

#: The device of tensors that the kernel takes. Triton's own switch has it interpreted, on the CPU, for tests.
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"

#: Wider tiles find no place in the shared memory of every GPU.
WIDEST = 512

#: Programs to aim at, some for each core of a large GPU. It is the same on all, and so the order of sums is.
_PROGRAMS = 512


def suits(anchor_BD: Tensor, rows_MD: Tensor) -> bool:
    """Whether the kernel can do these: anchors in float32, rows in float32 or bfloat16, on a GPU, not too wide."""
    return (
        anchor_BD.device.type == DEVICE
        and anchor_BD.dtype == torch.float32
        and rows_MD.dtype in (torch.float32, torch.bfloat16)
        and anchor_BD.shape[1] <= WIDEST
    )


def split_sums(
    anchor_BD: Tensor, rows_MD: Tensor, draws: Draws, log_noise: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """What S splits of the rows come to for each anchor: (S, B), (S, B) and (S, B, D), all float32.

    With `log_noise`, a scalar on the device: sums of ``softplus(a.n - log_noise)``, of its slopes, and of the rows
    times these. Without: the largest score, sums of ``exp(a.n - largest)``, and of the rows times these; where there
    are no negatives, the largest score is the least float32. A weight that is the same for all rows is left to
    `blocks.factor`.
    """
    from trainables.kernels.triton_kernel import sums

    (anchors, width), held = anchor_BD.shape, draws.held
    wide = max(16, 1 << (width - 1).bit_length())
    # as much as leaves no more than a few numbers without a register; products of float32 take more of them
    tile = max(16, min(64, 2**14 // (rows_MD.element_size() * wide))) if draws.shared else 1
    rows = min(32, 2**13 // wide)
    tiles = max(1, math.ceil(anchors / tile))
    span = rows * max(1, math.ceil(held * tiles / (rows * _PROGRAMS)))
    splits = max(1, math.ceil(held / span))
    first_SB, second_SB = anchor_BD.new_empty(2, splits, anchors)
    total_SBD = anchor_BD.new_empty(splits, anchors, width)
    weight_BR = _weights(draws, anchor_BD)
    with torch.cuda.device_of(anchor_BD):
        sums[tiles, splits](
            anchor_BD.contiguous(),
            rows_MD.contiguous(),
            None if draws.row_BR is None else draws.row_BR.contiguous(),
            weight_BR,
            draws.never_BR,
            log_noise,
            first_SB,
            second_SB,
            total_SBD,
            anchors,
            held,
            span,
            0 if draws.shared else held,
            *_strides(weight_BR),
            *_strides(draws.never_BR),
            width,
            wide,
            tile,
            rows,
            num_warps=4,  # one group of warps, as tiles are small: two take twice to four times as long
            num_stages=3,
        )
    return first_SB, second_SB, total_SBD


def _weights(draws: Draws, like: Tensor) -> Tensor | None:
    """(B, R); None where every row of an anchor counts alike."""
    weight_BR = draws.weight_BR
    if weight_BR is None or weight_BR.shape[1] == 1:
        return None
    return weight_BR.to(like.dtype).expand(len(like), draws.held)


def _strides(of_pairs: Tensor | None) -> tuple[int, ...]:
    return (0, 0) if of_pairs is None else of_pairs.stride()
