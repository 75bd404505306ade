"""ShuffleNet V2 for small images."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from trainables.models.cifar import CifarModel, Normalisation, classifier, convolution, pooled

_STEM = 24
_CHANNELS = (116, 232, 464)
_FEATURES = 1024


class ShuffleNetV2(CifarModel):
    """ShuffleNet V2 for small images (Ma et al. 2018, arXiv 1807.11164, table 5, width 1).

    Its stem is a 1x1 convolution without stride or pooling.
    """

    smallest_image: ClassVar[int] = 8

    name: Literal["shufflenet_v2"] = "shufflenet_v2"

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled, whatever the size)
        """F: channels of the last convolution."""
        return _FEATURES

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        return _ShuffleNetV2(channels, norm, classes)


class _ShuffleNetV2(nn.Module):
    def __init__(self, channels: int, norm: Normalisation, classes: int) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.conv1 = convolution(channels, _STEM, 1)
        self.bn1 = norm(_STEM)
        self.layer1 = _stage(norm, 4, _STEM, first)
        self.layer2 = _stage(norm, 8, first, second)
        self.layer3 = _stage(norm, 4, second, third)
        self.conv2 = convolution(third, _FEATURES, 1)
        self.bn2 = norm(_FEATURES)
        self.linear = classifier(_FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        output: Tensor = self.linear(pooled(relu(self.bn2(self.conv2(maps)))))
        return output


def _stage(norm: Normalisation, blocks: int, inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_HalvingUnit(norm, inputs, outputs), *(_SplitUnit(norm, outputs) for _ in range(blocks - 1)))


class _HalvingUnit(nn.Module):
    """Two branches with stride 2, each half of the outputs."""

    def __init__(self, norm: Normalisation, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = convolution(inputs, inputs, 3, stride=2, groups=inputs)
        self.bn1 = norm(inputs)
        self.conv2 = convolution(inputs, half, 1)
        self.bn2 = norm(half)
        self.conv3 = convolution(inputs, half, 1)
        self.bn3 = norm(half)
        self.conv4 = convolution(half, half, 3, stride=2, groups=half)
        self.bn4 = norm(half)
        self.conv5 = convolution(half, half, 1)
        self.bn5 = norm(half)

    def forward(self, maps: Tensor) -> Tensor:
        short = relu(self.bn2(self.conv2(self.bn1(self.conv1(maps)))))
        long = self.bn4(self.conv4(relu(self.bn3(self.conv3(maps)))))
        long = relu(self.bn5(self.conv5(long)))
        return torch.channel_shuffle(torch.cat([short, long], dim=1), groups=2)


class _SplitUnit(nn.Module):
    """One half of the channels passes as it is, the other through three convolutions."""

    def __init__(self, norm: Normalisation, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = convolution(half, half, 1)
        self.bn1 = norm(half)
        self.conv2 = convolution(half, half, 3, groups=half)
        self.bn2 = norm(half)
        self.conv3 = convolution(half, half, 1)
        self.bn3 = norm(half)

    def forward(self, maps: Tensor) -> Tensor:
        kept, maps = maps.chunk(2, dim=1)
        maps = self.bn2(self.conv2(relu(self.bn1(self.conv1(maps)))))
        maps = relu(self.bn3(self.conv3(maps)))
        return torch.channel_shuffle(torch.cat([kept, maps], dim=1), groups=2)
