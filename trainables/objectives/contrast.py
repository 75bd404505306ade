"""Similarities of anchors to what they are contrasted with, shared by the objectives that draw negatives."""

from torch import Tensor

from trainables.protocols import Draws, Operation, Shapes

BYTES_PER_VALUE = 4  # float32
BYTES_PER_INDEX = 8


def positive_scores(anchor_BD: Tensor, positive_BD: Tensor) -> Tensor:
    """Inner product of each anchor with its positive, (B,)."""
    return (anchor_BD * positive_BD).sum(dim=1)


def negative_scores(anchor_BD: Tensor, rows_MD: Tensor, draws: Draws) -> Tensor:
    """Inner product of each anchor with the K rows drawn for it, (B, K).

    All M products are made and the drawn ones picked: for the memories of small tasks one matrix product is faster than
    a gather of B x K rows, and nothing of size B x K x D is ever stored.
    """
    return (anchor_BD @ rows_MD.T).gather(1, draws.row_BK)


def log_importance(draws: Draws) -> Tensor:
    """log of (uniform over the candidates / proposal) for each draw, (B, K): zero for a uniform sampler.

    Added to a negative's log-score it keeps a sum over draws an unbiased estimate of the sum under uniform sampling.
    """
    return -draws.logq_BK - draws.candidates_B.to(draws.logq_BK.dtype).log().unsqueeze(1)


def contrast_operation(shapes: Shapes, sides: int) -> Operation:
    """Nominal cost of B x (1 + K) inner products of width D and of their gradient with respect to the anchors.

    A row that several anchors need crosses the bus once, so at most all rows of the memory are read.
    """
    pairs = shapes.batch * (1 + shapes.negatives)
    rows_read = min(pairs, shapes.rows)
    return Operation(
        name="contrast",
        flops=sides * 2 * 2 * pairs * shapes.width,
        bytes=sides * (rows_read * shapes.width * BYTES_PER_VALUE + pairs * (BYTES_PER_VALUE + BYTES_PER_INDEX)),
    )
