"""The kernel of `triton_sums`: rows are read once, a tile at a time, from score to gradient without leaving the core.

Importing this needs Triton, which comes with torch's builds for GPUs and is needed nowhere else.
"""

import triton
import triton.language as tl

NO_SCORE = tl.constexpr(-3.4028235e38)  # the largest so far where there is none: finite, so that differences are


@triton.jit
def sums(
    anchor,  # (B, D) float32
    rows,  # (M, D) float32 or bfloat16
    place,  # int64: R rows for each anchor, or, with stride 0, R that they share; None for all M
    weight,  # (B, R) float32, or None
    never,  # (B, R), not 0 where a row is no negative of an anchor, or None
    log_noise,  # one float32; None asks for the sums of a softmax
    first,  # (splits, B): sums of losses; of a softmax, the largest score
    second,  # (splits, B): sums of shares, which are the slopes of losses; of a softmax, exponentials
    total,  # (splits, B, D): sums of rows, each times its share
    B,
    R,
    span,  # rows of a split
    place_stride,
    weight_stride,
    weight_step,
    never_stride,
    never_step,
    D: tl.constexpr,
    WIDE: tl.constexpr,  # D or more, a power of two
    ANCHORS: tl.constexpr,  # of a tile; 1 asks for rows of each anchor's own
    ROWS: tl.constexpr,  # of a tile
):
    """Sums of a tile of anchors over the rows of a split."""
    tile, split = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b_B, d_D = tile * ANCHORS + tl.arange(0, ANCHORS), tl.arange(0, WIDE)
    at_BD, inside_BD = b_B[:, None] * D + d_D, (b_B < B)[:, None] & (d_D < D)
    anchor_BD = tl.load(anchor + at_BD, mask=inside_BD, other=0.0)
    first_B = tl.full([ANCHORS], NO_SCORE if log_noise is None else 0.0, tl.float32)
    second_B, total_BD = tl.zeros([ANCHORS], tl.float32), tl.zeros([ANCHORS, WIDE], tl.float32)
    for start in range(split * span, tl.minimum(R, split * span + span), ROWS):
        r_R = start + tl.arange(0, ROWS).to(tl.int64)
        inside_BR = (b_B < B)[:, None] & (r_R < R)
        row_R = r_R if place is None else tl.load(place + tile * place_stride + r_R, mask=r_R < R, other=0)
        rows_RD = tl.load(rows + row_R[:, None] * D + d_D, mask=(r_R < R)[:, None] & (d_D < D), other=0.0)
        counts_BR, weight_BR = inside_BR, 1.0
        if never is not None:
            never_BR = tl.load(never + b_B[:, None] * never_stride + r_R * never_step, mask=inside_BR, other=1)
            counts_BR = never_BR == 0
        if weight is not None:
            weight_BR = tl.load(weight + b_B[:, None] * weight_stride + r_R * weight_step, mask=inside_BR, other=0.0)
            counts_BR = counts_BR & (weight_BR != 0)  # else others may vanish beside a score that does not count
        score_BR = tl.where(counts_BR, _scores(anchor_BD, rows_RD), -float("inf"))
        if log_noise is None:
            larger_B = tl.maximum(first_B, tl.max(score_BR, axis=1))
            before_B = tl.exp(first_B - larger_B)
            share_BR = weight_BR * tl.exp(score_BR - larger_B[:, None])
            first_B, second_B, total_BD = larger_B, second_B * before_B, total_BD * before_B[:, None]
        else:
            loss_BR, slope_BR = _softplus(score_BR - tl.load(log_noise))
            share_BR = weight_BR * slope_BR
            first_B += tl.sum(weight_BR * loss_BR, axis=1)
        second_B += tl.sum(share_BR, axis=1)
        total_BD = _add_rows(total_BD, share_BR, rows_RD)
    tl.store(first + split * B + b_B, first_B, mask=b_B < B)
    tl.store(second + split * B + b_B, second_B, mask=b_B < B)
    tl.store(total + split.to(tl.int64) * B * D + at_BD, total_BD, mask=inside_BD)


@triton.jit
def _scores(anchor_BD, rows_RD):
    if anchor_BD.shape[0] == 1:
        return tl.sum(anchor_BD * rows_RD.to(tl.float32), axis=1)[None, :]
    return _product(tl.zeros([anchor_BD.shape[0], rows_RD.shape[0]], tl.float32), anchor_BD, tl.trans(rows_RD))


@triton.jit
def _add_rows(total_BD, share_BR, rows_RD):
    if total_BD.shape[0] == 1:
        return total_BD + tl.sum(tl.trans(share_BR) * rows_RD.to(tl.float32), axis=0)[None, :]
    return _product(total_BD, share_BR, rows_RD)


@triton.jit
def _product(sum_IJ, left_IK, right_KJ):
    """`sum_IJ` and a product, to the digits of float32, in which `left_IK` is; `right_KJ` may be in bfloat16.

    Tensor cores make it of pieces that they can multiply. Two numbers in float32 are each cut into two of TF32, of
    whose products the smallest is left out. One in bfloat16 stays in it, and the other is cut into three pieces of
    bfloat16, which hold its 24 bits: products of two such numbers are exact in float32.
    """
    if right_KJ.dtype == tl.float32:
        sum_IJ = tl.dot(left_IK, right_KJ, sum_IJ, input_precision="tf32x3")
    else:
        for _ in tl.static_range(3):
            piece_IK = left_IK.to(tl.bfloat16)
            sum_IJ = tl.dot(piece_IK, right_KJ, sum_IJ)
            left_IK -= piece_IK.to(tl.float32)
    return sum_IJ


@triton.jit
def _softplus(x):
    """log(1 + exp(x)) and its derivative, from one exponential, of what is at most 0."""
    small = tl.exp(-tl.abs(x))
    # log(1 + small) = 2 artanh(z), z at most 1/3: as a logarithm of 1 + small it would lose the digits of small
    z = small / (2 + small)
    series = z * z / 15 + 1 / 13
    for term in tl.static_range(5, -1, -1):
        series = series * (z * z) + 1 / (2 * term + 1)
    return tl.maximum(x, 0.0) + 2 * z * series, tl.where(x >= 0, 1.0, small) / (1 + small)
