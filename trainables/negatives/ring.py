"""Rows that are neither too far from the anchor nor too near to it."""

import math
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from trainables.draws import Draws
from trainables.negatives.candidates import of_other_keys, scoring_operation, similarities, uniform_rows
from trainables.protocols import Anchors, NegativesMember, Operation, Rows, Shapes


class Ring(NegativesMember):
    """Uniform draws between two percentiles of similarity (Wu et al. 2021, arXiv 2010.02037).

    Of an anchor's candidates in the order of their similarity, the first share `lower` is too easy and left out, and
    what is beyond the share `upper` too similar. Shares are rounded outwards, so that at least one candidate remains.
    With `anneal` the ring starts as all candidates and closes linearly, to [`lower`, `upper`] at the end of training.

    Departures: similarity is that of the student anchor to the half it is held against, and both percentiles are
    annealed, where the paper anneals the outer radius only.
    """

    name: Literal["ring"] = "ring"
    count: int = Field(64, ge=1, le=10_000_000)
    mode: Literal["exact"] = "exact"  # each anchor has a ring of its own
    lower: float = Field(0.5, ge=0, lt=1)
    upper: float = Field(0.99, gt=0, le=1)
    anneal: bool = True

    @model_validator(mode="after")
    def _ring_is_open(self) -> Self:
        if self.lower >= self.upper:
            raise PydanticCustomError(
                "empty_ring",
                "lower must be below upper, {upper}; lower it",
                {"path": "lower", "value": self.lower, "upper": self.upper},
            )
        return self

    def build(self) -> "RingNegatives":
        """The sampler."""
        return RingNegatives(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Scores of all rows."""
        return [scoring_operation(shapes)]


class RingNegatives:
    """See `Ring`."""

    def __init__(self, config: Ring) -> None:
        self.config = config

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor."""
        closed = anchors.progress if self.config.anneal else 1.0
        lower, upper = closed * self.config.lower, (1 - closed) + closed * self.config.upper
        candidate_BM = of_other_keys(anchors, rows)
        score_BM = similarities(anchors.student_BD, rows.against_MD)
        row_BK = uniform_rows(_between(score_BM, candidate_BM, lower, upper), count, generator)
        return Draws(count, len(rows.key_M), row_BK)


def _between(score_BM: Tensor, candidate_BM: Tensor, lower: float, upper: float) -> Tensor:
    """Candidates whose score is in that part of the order of the candidates' scores, (B, M) booleans."""
    candidates_B1 = candidate_BM.sum(dim=1, keepdim=True).double()
    ordered_BM = score_BM.masked_fill(~candidate_BM, math.inf).sort(dim=1).values
    first_B1 = (lower * candidates_B1).floor().long()
    last_B1 = torch.maximum((upper * candidates_B1).ceil().long() - 1, first_B1)
    least_B1, most_B1 = ordered_BM.gather(1, first_B1), ordered_BM.gather(1, last_B1)
    return candidate_BM & (score_BM >= least_B1) & (score_BM <= most_B1)
