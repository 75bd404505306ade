"""ShuffleNet for small images."""

from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from trainables.models.cifar import CifarModel, Normalisation, classifier, convolution, pooled, stage

_STEM = 24
_CHANNELS = (240, 480, 960)
_GROUPS = 3  # of the 1x1 convolutions, but for the one that follows the stem


class ShuffleNetV1(CifarModel):
    """ShuffleNet with 3 groups for small images (Zhang et al. 2018, arXiv 1707.01083, table 1, width 1).

    Its stem is a 1x1 convolution without stride or pooling; the depthwise convolution is followed by a rectifier.
    """

    smallest_image: ClassVar[int] = 8

    name: Literal["shufflenet_v1"] = "shufflenet_v1"

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled, whatever the size)
        """F: channels of the last stage."""
        return _CHANNELS[-1]

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        return _ShuffleNetV1(channels, norm, classes)


class _ShuffleNetV1(nn.Module):
    def __init__(self, channels: int, norm: Normalisation, classes: int) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        block = partial(_ShuffleUnit, norm)
        self.conv1 = convolution(channels, _STEM, 1)
        self.bn1 = norm(_STEM)
        self.layer1 = stage(block, 4, _STEM, first, stride=2)
        self.layer2 = stage(block, 8, first, second, stride=2)
        self.layer3 = stage(block, 4, second, third, stride=2)
        self.linear = classifier(third, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        output: Tensor = self.linear(pooled(maps))
        return output


class _ShuffleUnit(nn.Module):
    """A bottleneck that is added to its input, or with a stride set beside its averaged input."""

    def __init__(self, norm: Normalisation, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.strided = stride == 2
        change = outputs - inputs if self.strided else outputs
        inside = change // 4
        self.groups = 1 if inputs == _STEM else _GROUPS
        self.conv1 = convolution(inputs, inside, 1, groups=self.groups)
        self.bn1 = norm(inside)
        self.conv2 = convolution(inside, inside, 3, stride, groups=inside)
        self.bn2 = norm(inside)
        self.conv3 = convolution(inside, change, 1, groups=_GROUPS)
        self.bn3 = norm(change)

    def forward(self, maps: Tensor) -> Tensor:
        change = torch.channel_shuffle(relu(self.bn1(self.conv1(maps))), self.groups)
        change = relu(self.bn2(self.conv2(change)))
        change = self.bn3(self.conv3(change))
        if self.strided:
            return relu(torch.cat([change, avg_pool2d(maps, 3, stride=2, padding=1)], dim=1))
        return relu(change + maps)
