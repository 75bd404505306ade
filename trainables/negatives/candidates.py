"""The rows that an anchor may be held against, shared by all samplers: masks and scores of B x M, nothing larger."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.draws import Draws
from trainables.protocols import NOBODY, Anchors, Operation, Rows, Shapes


def of_other_keys(anchors: Anchors, rows: Rows) -> Tensor:
    """Whether each row may be a negative of each anchor at all, (B, M) booleans."""
    return rows.key_M.unsqueeze(0) != anchors.key_B.unsqueeze(1)


def of_other_classes(anchors: Anchors, rows: Rows) -> Tensor:
    """Rows of other keys and classes (B, M), or all of other keys where there are none; at least one of them each.

    A row of unknown class counts as one of another class.
    """
    assert anchors.label_B is not None  # promised to those that use labels
    assert rows.label_M is not None
    other_BM = of_other_keys(anchors, rows)
    different_BM = (rows.label_M != anchors.label_B.unsqueeze(1)) | (rows.label_M == NOBODY)
    candidate_BM = other_BM & different_BM
    return torch.where(candidate_BM.any(dim=1, keepdim=True), candidate_BM, other_BM)


def uniform_rows_of_other_keys(anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Tensor:
    """`count` independent draws for each anchor, with replacement, from the rows of other keys, (B, K).

    The same rows as `uniform_rows` of these candidates gives, without a search: a rank among them is a rank among all
    rows once the anchor's own are counted in, and it has few. Only the CPU knows how many without waiting for a device.
    """
    if rows.key_M.is_cuda:
        return uniform_rows(of_other_keys(anchors, rows), count, generator)
    batch, memory_rows = len(anchors.key_B), len(rows.key_M)
    anchor_P, place_P = pairs_of_same_key(anchors.key_B, rows.key_M)
    own_B = torch.bincount(anchor_P, minlength=batch)
    row_BK = ranks(memory_rows - own_B, count, generator)
    order_P = anchor_P.argsort(stable=True)
    nth_P = torch.empty_like(order_P)
    nth_P[order_P] = torch.arange(len(order_P)) - (own_B.cumsum(0) - own_B)[anchor_P[order_P]]
    for nth in range(int(own_B.max())):  # in the order of their places
        place_B1 = torch.full((batch, 1), memory_rows)
        place_B1[anchor_P[nth_P == nth], 0] = place_P[nth_P == nth]
        row_BK += row_BK >= place_B1
    return row_BK.clamp_(max=memory_rows - 1) if own_B.max() == memory_rows else row_BK


def pairs_of_same_key(key_B: Tensor, key_R: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of anchors and of rows whose keys are the same, in the order of the rows, (P,) each.

    One look at each row, not at each pair: first at which rows have a key of the batch at all.
    """
    wanted = torch.zeros(int(torch.maximum(key_B.max(), key_R.max())) + 2, dtype=torch.bool)
    wanted[key_B] = True  # the key of nobody, -1, falls on the last place, which stays empty
    row_S = wanted[key_R].nonzero().squeeze(1)
    place_P, anchor_P = (key_R[row_S].unsqueeze(1) == key_B).nonzero(as_tuple=True)
    return anchor_P, row_S[place_P]


def uniform_rows(candidate_BM: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` independent draws for each anchor, with replacement, each candidate as likely as any other, (B, K)."""
    # The r-th candidate of an anchor is found by its rank: one pass over a B x M mask, whatever K is.
    rank_BK = ranks(candidate_BM.sum(dim=1), count, generator).int() + 1
    return _in_range(torch.searchsorted(candidate_BM.cumsum(dim=1, dtype=torch.int32), rank_BK), candidate_BM)


def draws_in_proportion(q_BM: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` independent draws for each anchor from its distribution over the rows, (B, K)."""
    cumulative_BM = q_BM.cumsum(dim=1, dtype=torch.float64)
    uniform_BK = uniforms(len(q_BM), count, generator, q_BM.device)
    row_BK = torch.searchsorted(cumulative_BM, uniform_BK * cumulative_BM[:, -1:], right=True)
    return _in_range(row_BK, q_BM)


@dataclass(frozen=True)
class Excluded:
    """Rows that are no negatives of an anchor, among those that all anchors are held against: as a mask, and counted.

    `pairs` are the same one by one, in the order of the rows, where they are known.
    """

    never_BR: Tensor
    count_B: Tensor
    pairs: tuple[Tensor, Tensor] | None = None

    @classmethod
    def all_but(cls, candidate_BR: Tensor) -> "Excluded":
        """All but the candidates."""
        return cls(~candidate_BR, candidate_BR.shape[1] - candidate_BR.sum(dim=1))

    @classmethod
    def of_same_key(cls, anchors: Anchors, key_R: Tensor) -> "Excluded":
        """Those of the anchor's key; on a CPU found one by one, since they are few."""
        if key_R.is_cuda:
            return cls.all_but(key_R != anchors.key_B.unsqueeze(1))
        own = pairs_of_same_key(anchors.key_B, key_R)
        never_BR = torch.zeros(len(anchors.key_B), len(key_R), dtype=torch.bool)
        never_BR[own] = True
        return cls(never_BR, torch.bincount(own[0], minlength=len(anchors.key_B)), own)


def held_by_all(excluded: Excluded, count: int, rows: int, row_K: Tensor | None = None) -> Draws:
    """The rows `row_K`, or every row, for all anchors at once; those that are not excluded count for K = `count`.

    Uniform draws, given how many of them are an anchor's candidates, are uniform draws from these: their mean is
    unbiased. Every row counts as often as `count` uniform draws would have it on average.
    """
    weight_B1 = count / (excluded.never_BR.shape[1] - excluded.count_B).clamp_min(1).unsqueeze(1)
    row_1K = None if row_K is None else row_K.unsqueeze(0)
    return Draws(count, rows, row_1K, weight_B1, excluded.never_BR, excluded.pairs)


def ranks(candidates_B: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` uniform whole numbers from 0 below the number of each anchor, (B, K)."""
    uniform_BK = uniforms(len(candidates_B), count, generator, candidates_B.device)
    return uniform_BK.mul_(candidates_B.unsqueeze(1)).long()


def uniforms(anchors: int, count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform numbers in [0, 1) of (anchors, count); the generator is on the device too, since they are many."""
    return torch.rand(anchors, count, generator=generator, dtype=torch.float64, device=device)


def _in_range(row_BK: Tensor, rows_BM: Tensor) -> Tensor:
    """Some row even for an anchor without candidates. Embeddings that are not finite leave none; the loss says so."""
    return row_BK.clamp_(max=rows_BM.shape[1] - 1)


def similarities(anchor_BD: Tensor, rows_MD: Tensor) -> Tensor:
    """Inner products with every row, (B, M)."""
    return anchor_BD @ rows_MD.to(anchor_BD.dtype).T


def scoring_operation(shapes: Shapes) -> Operation:
    """Nominal cost of the similarities of all anchors to one half of all rows: products, rows read, scores written."""
    scores = shapes.batch * shapes.rows
    read = shapes.rows * shapes.width * shapes.row_bytes
    return Operation("negatives", flops=2 * scores * shapes.width, bytes=read + 4 * scores)
