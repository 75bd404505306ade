"""A plain convolutional network for small images."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from trainables.network import ModelMember

_POOLED = 2  # features keep four coarse positions: small students need to know where a stroke is


class ConvNet(ModelMember):
    """Three 3x3 convolutions, of `width`, 2 and 4 times `width` channels, the last two with stride 2.

    Each is followed by group normalisation over the sample and a rectifier. No batch normalisation: what a sample
    becomes does not depend on which samples stand beside it, so neither on the number of workers.
    """

    name: Literal["convnet"] = "convnet"
    width: int = Field(8, ge=1, le=1024)

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (the same for images of any size)
        """F: channels of the last convolution at 2 x 2 positions."""
        return 4 * self.width * _POOLED**2

    def build(self, inputs: tuple[int, ...]) -> nn.Module:
        """The network on images."""
        return _ConvNet(inputs[0], self.width)


class _ConvNet(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            _block(channels, width, stride=1),
            _block(width, 2 * width, stride=2),
            _block(2 * width, 4 * width, stride=2),
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.blocks(2 * images - 1)
        if features.shape[2:] != (_POOLED, _POOLED):  # else each position is its own mean, found at some expense
            features = adaptive_avg_pool2d(features, _POOLED)
        return torch.flatten(features, 1)


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.GroupNorm(1, outputs), nn.ReLU())
