"""The rows that an anchor may be held against, shared by all samplers: masks and scores of B x M, nothing larger."""

import torch
from torch import Tensor

from trainables.protocols import Anchors, Draws, Operation, Rows, Shapes


def of_other_keys(anchors: Anchors, rows: Rows) -> Tensor:
    """Whether each row may be a negative of each anchor at all, (B, M) booleans."""
    return rows.key_M.unsqueeze(0) != anchors.key_B.unsqueeze(1)


def uniform_draws(candidate_BM: Tensor, count: int, generator: torch.Generator) -> Draws:
    """`count` independent draws for each anchor, with replacement, each candidate as likely as any other."""
    candidates_B = candidate_BM.sum(dim=1)
    # The r-th candidate of an anchor is found by its rank: one pass over a B x M mask, whatever K is.
    uniform_BK = uniforms(len(candidate_BM), count, generator, candidate_BM.device)
    rank_BK = (uniform_BK * candidates_B.unsqueeze(1)).int() + 1
    row_BK = torch.searchsorted(candidate_BM.cumsum(dim=1, dtype=torch.int32), rank_BK)
    return Draws(_in_range(row_BK, candidate_BM), uniform_logq(candidates_B, count), candidates_B)


def draws_in_proportion(q_BM: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` independent draws for each anchor from its distribution over the rows, (B, K)."""
    cumulative_BM = q_BM.cumsum(dim=1, dtype=torch.float64)
    uniform_BK = uniforms(len(q_BM), count, generator, q_BM.device)
    row_BK = torch.searchsorted(cumulative_BM, uniform_BK * cumulative_BM[:, -1:], right=True)
    return _in_range(row_BK, q_BM)


def uniforms(anchors: int, count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform numbers in [0, 1) of (anchors, count), the same ones on every device."""
    return torch.rand(anchors, count, generator=generator, dtype=torch.float64).to(device)


def uniform_logq(candidates_B: Tensor, count: int) -> Tensor:
    """The log-probability of each of K draws from equally likely candidates, (B, K)."""
    return -candidates_B.log().unsqueeze(1).expand(-1, count)


def _in_range(row_BK: Tensor, rows_BM: Tensor) -> Tensor:
    """Some row even for an anchor without candidates. Embeddings that are not finite leave none; the loss says so."""
    return row_BK.clamp_max(rows_BM.shape[1] - 1)


def scoring_operation(shapes: Shapes) -> Operation:
    """Nominal cost of the similarities of all anchors to one half of all rows: products, rows read, scores written."""
    scores = shapes.batch * shapes.rows
    read = shapes.rows * shapes.width
    return Operation("negatives", flops=2 * scores * shapes.width, bytes=4 * (read + scores))
