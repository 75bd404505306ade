"""Rows in proportion to what the anchor would learn from them."""

import math
from typing import Literal

import torch
from pydantic import Field

from trainables.draws import Draws
from trainables.negatives.candidates import draws_in_proportion, of_other_keys, scoring_operation, similarities
from trainables.protocols import Anchors, NegativesMember, Operation, Rows, Shapes


class Retrieval(NegativesMember):
    """A reconstruction of sampling from episodic memory (Lengerich et al. 2022, arXiv 2212.11353), from its abstract.

    With s.t the similarity of the student anchor to the half it is held against, and n candidates,
    ``q = (1 - explore) * softmax(sharpness * s.t) + explore / n``: a negative's share in the gradient of InfoNCE grows
    like its exponentiated score, so this is in proportion to the expected learning signal. Where `corrected`, the
    objective weighs draws by their probability and estimates what uniform draws would; else the draws are the target.

    Departures: unknown, the text of the paper was not available.
    """

    name: Literal["retrieval"] = "retrieval"
    count: int = Field(64, ge=1, le=10_000_000)
    mode: Literal["exact"] = "exact"  # each anchor has a distribution of its own
    sharpness: float = Field(5.0, ge=0, le=100)
    explore: float = Field(0.2, gt=0, le=1)
    corrected: bool = True

    def build(self) -> "RetrievalNegatives":
        """The sampler."""
        return RetrievalNegatives(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Scores of all rows."""
        return [scoring_operation(shapes)]


class RetrievalNegatives:
    """See `Retrieval`."""

    def __init__(self, config: Retrieval) -> None:
        self.config = config

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor."""
        candidate_BM = of_other_keys(anchors, rows)
        candidates_B = candidate_BM.sum(dim=1)
        sharpness = self.config.sharpness * anchors.sharpness
        score_BM = sharpness * similarities(anchors.student_BD, rows.against_MD)
        signal_BM = score_BM.masked_fill(~candidate_BM, -math.inf).softmax(dim=1)
        explore = self.config.explore
        q_BM = (1 - explore) * signal_BM + explore * candidate_BM / candidates_B.unsqueeze(1)
        row_BK = draws_in_proportion(q_BM, count, generator)
        weight_BK = 1 / (q_BM.gather(1, row_BK) * candidates_B.unsqueeze(1)) if self.config.corrected else None
        return Draws(count, len(rows.key_M), row_BK, weight_BK)
