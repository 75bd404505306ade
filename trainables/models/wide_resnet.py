"""Wide residual networks (WRN-16-1 to WRN-40-2)."""

from collections import OrderedDict
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
    stage,
)


class WideResNet(CifarModel):
    """A wide residual network of `depth` 6n + 4 layers (Zagoruyko and Komodakis 2016, arXiv 1605.07146).

    WRN-40-2 is `depth` 40 and `width` 2. Normalisation and rectifier stand before each convolution; no dropout.
    """

    smallest_image: ClassVar[int] = 4

    name: Literal["wide_resnet"] = "wide_resnet"
    depth: Literal[10, 16, 22, 28, 34, 40] = 16
    width: int = Field(2, ge=1, le=16)

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled, whatever the size)
        """F: channels of the last stage."""
        return 64 * self.width

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        return _WideResNet(channels, (self.depth - 4) // 6, self.width, norm, classes)


class _WideResNet(nn.Module):
    def __init__(self, channels: int, blocks: int, width: int, norm: Normalisation, classes: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels, 16, 3)
        self.block1 = _stage(norm, blocks, 16, 16 * width, stride=1)
        self.block2 = _stage(norm, blocks, 16 * width, 32 * width, stride=2)
        self.block3 = _stage(norm, blocks, 32 * width, 64 * width, stride=2)
        self.bn1 = norm(64 * width)
        self.fc = classifier(64 * width, classes)
        initialise_convolutions(self)
        if isinstance(self.fc, nn.Linear):
            nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.block3(self.block2(self.block1(self.conv1(images))))
        output: Tensor = self.fc(pooled(relu(self.bn1(maps))))
        return output


def _stage(norm: Normalisation, blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    # The published weights have one name more here: block1.layer.0.
    return nn.Sequential(OrderedDict(layer=stage(partial(_BasicBlock, norm), blocks, inputs, outputs, stride)))


class _BasicBlock(nn.Module):
    def __init__(self, norm: Normalisation, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = norm(inputs)
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn2 = norm(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.convShortcut = None if inputs == outputs else convolution(inputs, outputs, 1, stride)

    def forward(self, maps: Tensor) -> Tensor:
        active = relu(self.bn1(maps))
        change = self.conv2(relu(self.bn2(self.conv1(active))))
        # A projection starts from the activated maps, the identity from the maps as they came.
        kept = maps if self.convShortcut is None else self.convShortcut(active)
        output: Tensor = kept + change
        return output
