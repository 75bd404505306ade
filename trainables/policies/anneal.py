"""Factors that move with time alone."""

import math
from typing import Literal

from pydantic import Field

from trainables.protocols import Decision, Estimates, PolicyMember


class Anneal(PolicyMember):
    """Reconstruction of a loss policy that knows the compute left and nothing else: factors move from 1 to these ends.

    ``factor = (1 - s) + s * end`` with s = progress (`linear`) or (1 - cos(pi * progress)) / 2 (`cosine`). The fields
    are the ends: of temperature, of the share of negatives, of the sampler's sharpness and of the contrast's weight.

    The state of the policy is our reading of Lengerich et al. 2022 (arXiv 2212.11353), whose text could not be read;
    the cosine is that of Loshchilov and Hutter 2017 (arXiv 1608.03983), without restarts.

    Departures: reconstruction, all of it.
    """

    name: Literal["anneal"] = "anneal"
    temperature: float = Field(0.5, gt=0, le=100)
    negatives: float = Field(1.0, gt=0, le=1)
    sharpness: float = Field(1.0, ge=0, le=100)
    contrast: float = Field(1.0, ge=0, le=100)
    shape: Literal["linear", "cosine"] = "cosine"

    def decide(self, progress: float, estimates: Estimates | None) -> Decision:  # noqa: ARG002 (time alone)
        """The factors at this share of the planned steps."""
        moved = progress if self.shape == "linear" else (1 - math.cos(math.pi * progress)) / 2
        ends = (self.temperature, self.negatives, self.sharpness, self.contrast)
        return Decision(*((1 - moved) + moved * end for end in ends))
