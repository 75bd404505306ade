"""Only rows of other classes, and none of them twice."""

from typing import Literal

import torch
from pydantic import Field

from trainables.draws import Draws, Mode
from trainables.negatives.candidates import Excluded, held_by_all, of_other_classes, uniforms
from trainables.protocols import Anchors, NegativesMember, Rows


class LabelAware(NegativesMember):
    """`count` rows of other classes than the anchor's, without replacement (Tian et al. 2020, arXiv 1910.10699).

    That is how the release of CRD chooses negatives. A row of unknown class counts as one of another class.
    In `shared` mode all anchors share `count` different rows, and each counts those of other classes for `count`; in
    `full` mode every row of another class counts `count / candidates` times.

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
        return LabelAwareNegatives(self.mode)


class LabelAwareNegatives:
    """See `LabelAware`."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K negatives for each anchor: the first of its candidates in a random order."""
        candidate_BM = of_other_classes(anchors, rows)
        memory_rows, device = candidate_BM.shape[1], candidate_BM.device
        if self.mode == "full":
            return held_by_all(Excluded.all_but(candidate_BM), count, memory_rows)
        # Double precision leaves no ties, which would favour some rows.
        if self.mode == "shared":
            row_K = uniforms(1, memory_rows, generator, device)[0].topk(min(count, memory_rows)).indices
            return held_by_all(Excluded.all_but(candidate_BM[:, row_K]), count, memory_rows, row_K)
        place_BM = uniforms(len(candidate_BM), memory_rows, generator, device)
        order_BM = place_BM.masked_fill(~candidate_BM, -1).topk(min(count, memory_rows), dim=1).indices
        turn_BK = torch.arange(count, device=device) % candidate_BM.sum(dim=1, keepdim=True).clamp_min(1)
        return Draws(count, memory_rows, order_BM.gather(1, turn_BK))
