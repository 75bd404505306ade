"""ResNet-50 with the stem of a network for small images."""

from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import relu

from trainables.models.cifar import (
    CifarModel,
    Normalisation,
    classifier,
    convolution,
    initialise_convolutions,
    pooled,
    shortcut,
    stage,
)

_EXPANSION = 4  # channels that leave a bottleneck, for each that is inside
_FEATURES = 512 * _EXPANSION


class ResNet50(CifarModel):
    """ResNet-50 for small images (He et al. 2016, arXiv 1512.03385, table 1).

    Its stem is one 3x3 convolution without stride or pooling, and the 3x3 convolution of a bottleneck has the stride.
    """

    smallest_image: ClassVar[int] = 8

    name: Literal["resnet50"] = "resnet50"

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled, whatever the size)
        """F: channels of the last stage."""
        return _FEATURES

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        return _ResNet50(channels, norm, classes)


class _ResNet50(nn.Module):
    def __init__(self, channels: int, norm: Normalisation, classes: int) -> None:
        super().__init__()
        block = partial(_Bottleneck, norm)
        self.conv1 = convolution(channels, 64, 3)
        self.bn1 = norm(64)
        self.layer1 = stage(block, 3, 64, 256, stride=1)
        self.layer2 = stage(block, 4, 256, 512, stride=2)
        self.layer3 = stage(block, 6, 512, 1024, stride=2)
        self.layer4 = stage(block, 3, 1024, _FEATURES, stride=2)
        self.linear = classifier(_FEATURES, classes)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        maps = relu(self.bn1(self.conv1(images)))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        output: Tensor = self.linear(pooled(maps))
        return output


class _Bottleneck(nn.Module):
    def __init__(self, norm: Normalisation, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inside = outputs // _EXPANSION
        self.conv1 = convolution(inputs, inside, 1)
        self.bn1 = norm(inside)
        self.conv2 = convolution(inside, inside, 3, stride)
        self.bn2 = norm(inside)
        self.conv3 = convolution(inside, outputs, 1)
        self.bn3 = norm(outputs)
        self.shortcut = shortcut(inputs, outputs, stride, norm)

    def forward(self, maps: Tensor) -> Tensor:
        change = relu(self.bn1(self.conv1(maps)))
        change = relu(self.bn2(self.conv2(change)))
        change = self.bn3(self.conv3(change))
        return relu(change + self.shortcut(maps))
