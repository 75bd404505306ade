"""Uniform draws that the objective tilts towards the hard ones."""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field

from trainables.draws import Draws
from trainables.negatives.uniform import UniformNegatives
from trainables.protocols import Anchors, NegativesMember, Rows


class Hard(NegativesMember):
    """Uniform draws for a target tilted by exp(sharpness * score) (HCL, Robinson et al. 2021, arXiv 2010.04592).

    `prior` is the share of false negatives that the objective takes out (debiasing, Chuang et al. 2020, arXiv
    2007.00224). The objective weighs the draws: with `sharpness` and `prior` 0 this is `uniform`, in each of its modes.

    Departures: none.
    """

    name: Literal["hard"] = "hard"
    count: int = Field(64, ge=1, le=10_000_000)
    sharpness: float = Field(1.0, ge=0, le=100)
    prior: float = Field(0.0, ge=0, lt=1)

    def build(self) -> "HardNegatives":
        """The sampler."""
        return HardNegatives(self)


class HardNegatives:
    """See `Hard`."""

    def __init__(self, config: Hard) -> None:
        self.config = config

    def draw(self, anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
        """K rows for each anchor."""
        drawn = UniformNegatives(self.config.mode).draw(anchors, rows, count, generator)
        return replace(drawn, sharpness=self.config.sharpness * anchors.sharpness, prior=self.config.prior)
