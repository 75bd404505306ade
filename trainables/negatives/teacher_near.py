"""Some of the draws among the rows that the teacher finds most similar."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from trainables.draws import Draws
from trainables.negatives.candidates import of_other_keys, scoring_operation, similarities, uniform_rows, uniforms
from trainables.protocols import Anchors, NegativesMember, Operation, Rows, Shapes


class TeacherNear(NegativesMember):
    """A mixture: near rows by the teacher's similarity, and all rows as the defence (our own construction).

    A draw is with probability `near` uniform among the `neighbours` rows of other keys that are nearest to the anchor
    in the teacher's embedding, else uniform among all rows of other keys. The log-probability is that of the mixture
    (defensive importance sampling, Owen and Zhou 2000; hard negatives, Robinson et al. 2021, arXiv 2010.04592), so an
    objective that weighs draws by it estimates what uniform draws would, with more digits where negatives are hard.

    Departures: not from a paper.
    """

    name: Literal["teacher_near"] = "teacher_near"
    count: int = Field(64, ge=1, le=10_000_000)
    mode: Literal["exact"] = "exact"  # each anchor has neighbours of its own
    near: float = Field(0.5, ge=0, lt=1)
    neighbours: int = Field(64, ge=1, le=10_000_000)

    def build(self) -> "TeacherNearNegatives":
        """The sampler."""
        return TeacherNearNegatives(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Scores of all rows."""
        return [scoring_operation(shapes)]


class TeacherNearNegatives:
    """See `TeacherNear`."""

    def __init__(self, config: TeacherNear) -> None:
        self.config = config

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor."""
        candidate_BM = of_other_keys(anchors, rows)
        near_BM = _nearest(similarities(anchors.teacher_BD, rows.teacher_MD), candidate_BM, self.config.neighbours)
        near_BK, any_BK = (uniform_rows(mask_BM, count, generator) for mask_BM in (near_BM, candidate_BM))
        is_near_BK = uniforms(len(near_BM), count, generator, near_BM.device) < self.config.near
        row_BK = torch.where(is_near_BK, near_BK, any_BK)
        near_B1, candidates_B1 = (mask_BM.sum(dim=1, keepdim=True) for mask_BM in (near_BM, candidate_BM))
        q_BK = self.config.near / near_B1 * near_BM.gather(1, row_BK) + (1 - self.config.near) / candidates_B1
        return Draws(count, len(rows.key_M), row_BK, 1 / (q_BK * candidates_B1))


def _nearest(score_BM: Tensor, candidate_BM: Tensor, neighbours: int) -> Tensor:
    """The candidates of the highest scores, as many as there are up to `neighbours`, (B, M) booleans."""
    scored_BM = score_BM.masked_fill(~candidate_BM, -math.inf)
    row_BN = scored_BM.topk(min(neighbours, scored_BM.shape[1]), dim=1).indices
    return torch.zeros_like(candidate_BM).scatter(1, row_BN, True) & candidate_BM
