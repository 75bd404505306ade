"""The residual networks of CIFAR (resnet8 to resnet110, resnet8x4, resnet32x4)."""

from functools import partial
from typing import ClassVar, Literal

from pydantic import Field
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


class ResNet(CifarModel):
    """A residual network of `depth` 6n + 2 layers for small images (He et al. 2016, arXiv 1512.03385, section 4.2).

    Three stages of n blocks with 16, 32 and 64 times `width` channels; a shape changes through a learned projection.
    The benchmark's names end in x4 for `width` 4, whose stem is 32 channels wide instead of 16.
    """

    smallest_image: ClassVar[int] = 4

    name: Literal["resnet"] = "resnet"
    depth: Literal[8, 14, 20, 32, 44, 56, 110] = 20
    width: int = Field(1, ge=1, le=16)

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled, whatever the size)
        """F: channels of the last stage."""
        return 64 * self.width

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        return _ResNet(channels, (self.depth - 2) // 6, self.width, norm, classes)


class _ResNet(nn.Module):
    def __init__(self, channels: int, blocks: int, width: int, norm: Normalisation, classes: int) -> None:
        super().__init__()
        stem = min(16 * width, 32)  # published are 16 for width 1 and 32 for width 4
        block = partial(_BasicBlock, norm)
        self.conv1 = convolution(channels, stem, 3)
        self.bn1 = norm(stem)
        self.layer1 = stage(block, blocks, stem, 16 * width, stride=1)
        self.layer2 = stage(block, blocks, 16 * width, 32 * width, stride=2)
        self.layer3 = stage(block, blocks, 32 * width, 64 * width, stride=2)
        self.fc = classifier(64 * width, classes)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        maps = relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        output: Tensor = self.fc(pooled(maps))
        return output


class _BasicBlock(nn.Module):
    def __init__(self, norm: Normalisation, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn1 = norm(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.bn2 = norm(outputs)
        self.downsample = shortcut(inputs, outputs, stride, norm)

    def forward(self, maps: Tensor) -> Tensor:
        change = relu(self.bn1(self.conv1(maps)))
        change = self.bn2(self.conv2(change))
        return relu(change + self.downsample(maps))
