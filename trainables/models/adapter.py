"""A small network on the features of the frozen teacher: no backbone, so nearly no compute."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.network import ModelMember


class Adapter(ModelMember):
    """``h(e) = e + phi(e)`` on the frozen teacher's features e, the identity at step 0 (SimSkip reconstructed).

    phi is `depth` times (linear, layer normalisation, rectifier) of width `hidden` and a last linear layer that starts
    at zero; without `skip`, ``h(e) = phi(e)`` and the last layer starts as any other. While it trains, h sees e with
    Gaussian noise of deviation `noise` (in those of the features, which are standardised) and then each feature set to
    0 with probability `mask`; so two passes are two views.

    After Liu et al. 2024 (arXiv 2404.08701).

    Departures: reconstruction: the method's equations could not be read; layers, sizes and perturbations are ours.
    """

    reads: ClassVar[Literal["images", "tokens", "vectors", "features"]] = "features"
    smallest_image: ClassVar[int] = 0

    name: Literal["adapter"] = "adapter"
    hidden: int = Field(128, ge=4, le=65_536)
    depth: int = Field(2, ge=1, le=8)
    mask: float = Field(0.2, ge=0, lt=1)
    noise: float = Field(0.1, ge=0, le=10)
    skip: bool = True

    @property
    def stochastic(self) -> bool:
        """Whether it perturbs what it reads."""
        return self.mask > 0 or self.noise > 0

    def feature_width(self, inputs: tuple[int, ...]) -> int:
        """F of the teacher."""
        return inputs[0]

    def build(self, inputs: tuple[int, ...]) -> nn.Module:
        """The network on features (B, F)."""
        return _Adapter(self, inputs[0])


class _Adapter(nn.Module):
    def __init__(self, config: Adapter, width: int) -> None:
        super().__init__()
        self.mask, self.noise, self.skip = config.mask, config.noise, config.skip
        widths = [width] + [config.hidden] * config.depth
        last = nn.Linear(config.hidden, width)
        if config.skip:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.phi = nn.Sequential(*map(_layer, widths, widths[1:]), last)

    def forward(self, features_BF: Tensor) -> Tensor:
        if self.training:
            features_BF = self._perturbed(features_BF)
        change: Tensor = self.phi(features_BF)
        return features_BF + change if self.skip else change

    def _perturbed(self, features_BF: Tensor) -> Tensor:
        """As with dropout, from torch's global generator."""
        noisy_BF = features_BF + self.noise * torch.randn_like(features_BF)
        return noisy_BF.where(torch.rand_like(noisy_BF) >= self.mask, 0)


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU())
