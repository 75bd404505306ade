"""A network that knows nothing of images."""

from itertools import pairwise
from math import prod
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from trainables.network import ModelMember


class MLP(ModelMember):
    """All pixels in one vector, then `depth` layers of `width`, each followed by layer normalisation and a rectifier.

    Normalisation is over one sample (Ba et al. 2016, arXiv 1607.06450), and of one or two values it leaves no more than
    their order: hence the least width.
    """

    smallest_image: ClassVar[int] = 1

    name: Literal["mlp"] = "mlp"
    width: int = Field(256, ge=4, le=65_536)
    depth: int = Field(2, ge=1, le=64)

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (the same for images of any size)
        """F, the width of the last layer."""
        return self.width

    def build(self, inputs: tuple[int, ...]) -> nn.Module:
        """The network on images."""
        return _MLP([prod(inputs), *[self.width] * self.depth])


class _MLP(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        layers = (
            nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU())
            for inputs, outputs in pairwise(widths)
        )
        self.layers = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(2 * images - 1)
        return features
