"""MobileNetV2 for small images."""

from functools import partial
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from trainables.models.cifar import (
    CifarModel,
    Normalisation,
    classifier,
    convolution,
    initialise_classifier,
    initialise_convolutions,
    pooled,
    stage,
)

_STEM, _LAST = 32, 1280
_STAGES = ((16, 1, 1), (24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
# channels at width 1, blocks, and stride of the first block


class MobileNetV2(CifarModel):
    """MobileNetV2 for small images (Sandler et al. 2018, arXiv 1801.04381, table 2); by default the benchmark's half.

    `width` scales all channels, but the last 1280 only upwards; blocks widen inside by `expansion`, the first by 1.
    Unlike the paper, the second stage has no stride, the rectifiers no ceiling, and channels no rounding to eights.
    """

    smallest_image: ClassVar[int] = 16

    name: Literal["mobilenet_v2"] = "mobilenet_v2"
    expansion: int = Field(6, ge=1, le=12)
    width: float = Field(0.5, ge=0.1, le=4)

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled, whatever the size)
        """F: channels of the last convolution."""
        return int(_LAST * max(1.0, self.width))

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        return _MobileNetV2(self, channels, norm, classes)


class _MobileNetV2(nn.Module):
    def __init__(self, config: MobileNetV2, channels: int, norm: Normalisation, classes: int) -> None:
        super().__init__()
        inputs, features = int(_STEM * config.width), config.feature_width(())
        self.conv1 = _normalised(convolution(channels, inputs, 3, stride=2), norm)
        self.blocks = nn.Sequential()
        for index, (width, blocks, stride) in enumerate(_STAGES):
            block = partial(_InvertedResidual, norm, config.expansion if index else 1)
            outputs = int(width * config.width)
            self.blocks.append(stage(block, blocks, inputs, outputs, stride))
            inputs = outputs
        self.conv2 = _normalised(convolution(inputs, features, 1), norm)
        self.classifier = nn.Sequential(classifier(features, classes))  # published as classifier.0
        initialise_convolutions(self)
        initialise_classifier(self)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv2(self.blocks(self.conv1(images)))
        output: Tensor = self.classifier(pooled(maps))
        return output


class _InvertedResidual(nn.Module):
    def __init__(self, norm: Normalisation, expansion: int, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.conv = nn.Sequential(
            *_normalised(convolution(inputs, inside, 1), norm),
            *_normalised(convolution(inside, inside, 3, stride, groups=inside), norm),
            convolution(inside, outputs, 1),
            norm(outputs),
        )
        self.keeps_shape = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        change: Tensor = self.conv(maps)
        return maps + change if self.keeps_shape else change


def _normalised(convolution: nn.Conv2d, norm: Normalisation) -> nn.Sequential:
    return nn.Sequential(convolution, norm(convolution.out_channels), nn.ReLU())
