"""Factors that follow what the student tells about the teacher, on the source and on the target."""

from typing import Literal

from pydantic import Field

from trainables.protocols import Decision, Estimates, PolicyMember

_NOTHING_KNOWN = Estimates(source=0.0, target=0.0, ceiling=1.0)


class MIGuided(PolicyMember):
    """Reconstruction of the loss policy: from mutual information on source and target, and the compute that is left.

    With S and T the estimates on source and target as shares of their ceiling, within [0, 1] (0 until there are any):

    - ``sharpness = S``: uniform negatives while the source is unknown, hard ones when it is nearly solved;
    - ``negatives = least_negatives + (1 - least_negatives) * max(S, progress)``: few while they are easy, and all of
      them towards the end, whatever is known then: compute that is left has no other use;
    - ``temperature = `temperature` ** max(0, S - T)``: softer, the more of what is told on the source is not on the
      target; 1 when everything carries over.

    After Lengerich et al. 2022 (arXiv 2212.11353), whose abstract speaks of a loss policy, of information shared with
    both tasks, and of compute as a price; the text itself could not be read.

    Departures: reconstruction, all of it: state, actions and formulas are ours, and none of it is learned.
    """

    name: Literal["mi_guided"] = "mi_guided"
    every: int = Field(50, ge=1, le=100_000_000)
    temperature: float = Field(2.0, ge=1, le=100)
    least_negatives: float = Field(0.1, gt=0, le=1)

    @property
    def estimates_every(self) -> int:
        """`every`."""
        return self.every

    def decide(self, progress: float, estimates: Estimates | None) -> Decision:
        """The decision for this state."""
        known = estimates or _NOTHING_KNOWN
        source, target = _told(known.source, known.ceiling), _told(known.target, known.ceiling)
        return Decision(
            temperature=self.temperature ** max(0.0, source - target),
            negatives=self.least_negatives + (1 - self.least_negatives) * max(source, progress),
            sharpness=source,
        )


def _told(estimate: float, ceiling: float) -> float:
    """An estimate as a share of what it could show at most, within [0, 1]; nothing can be told under no ceiling."""
    return min(max(estimate, 0.0), ceiling) / ceiling if ceiling > 0 else 0.0
