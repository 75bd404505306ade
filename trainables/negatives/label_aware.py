"""Only rows of other classes, and none of them twice."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from trainables.negatives.candidates import of_other_keys, uniform_logq, uniforms
from trainables.protocols import NOBODY, Anchors, Draws, NegativesMember, Rows


class LabelAware(NegativesMember):
    """`count` rows of other classes than the anchor's, without replacement (Tian et al. 2020, arXiv 1910.10699).

    That is how the release of CRD chooses negatives. A row of unknown class counts as one of another class.

    Departures: when there are fewer candidates than `count`, their random order is gone through again, where the
    release draws with replacement. An anchor without rows of another class draws from all rows of other keys.
    """

    name: Literal["label_aware"] = "label_aware"
    count: int = Field(64, ge=1, le=10_000_000)

    @property
    def uses_labels(self) -> bool:
        """Always."""
        return True

    def build(self) -> "LabelAwareNegatives":
        """The sampler."""
        return LabelAwareNegatives()


class LabelAwareNegatives:
    """See `LabelAware`."""

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor: the first of its candidates in a random order."""
        candidate_BM = _of_other_classes(anchors, rows)
        candidates_B = candidate_BM.sum(dim=1)
        # Double precision leaves no ties, which would favour some rows.
        place_BM = uniforms(len(candidate_BM), len(rows.key_M), generator, candidate_BM.device)
        order_BM = place_BM.masked_fill(~candidate_BM, -1).topk(min(count, len(rows.key_M)), dim=1).indices
        turn_BK = torch.arange(count, device=order_BM.device) % candidates_B.clamp_min(1).unsqueeze(1)
        return Draws(order_BM.gather(1, turn_BK), uniform_logq(candidates_B, count), candidates_B)


def _of_other_classes(anchors: Anchors, rows: Rows) -> Tensor:
    """(B, M) booleans, at least one in each row."""
    assert anchors.label_B is not None  # promised to those that use labels
    assert rows.label_M is not None
    other_BM = of_other_keys(anchors, rows)
    different_BM = (rows.label_M != anchors.label_B.unsqueeze(1)) | (rows.label_M == NOBODY)
    candidate_BM = other_BM & different_BM
    return torch.where(candidate_BM.any(dim=1, keepdim=True), candidate_BM, other_BM)
