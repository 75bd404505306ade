"""VGG networks for small images (vgg8 to vgg19)."""

from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from trainables.models.cifar import (
    CifarModel,
    Normalisation,
    classifier,
    initialise_classifier,
    initialise_convolutions,
    pooled,
)

_CHANNELS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_LARGE_IMAGE = 64  # from here on, all five blocks are halved; published for this size and for 32


class VGG(CifarModel):
    """A VGG network of the benchmark (Simonyan and Zisserman 2015, arXiv 1409.1556), without its hidden classifier.

    Five blocks of 3x3 convolutions with bias, normalisation and rectifier. Images are halved after each of the first
    three; from 64 pixels on, after the fourth too.
    """

    smallest_image: ClassVar[int] = 8

    name: Literal["vgg"] = "vgg"
    depth: Literal[8, 11, 13, 16, 19] = 8

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled, whatever the size)
        """F: channels of the last block."""
        return _CHANNELS[-1]

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        return _VGG(channels, _CONVOLUTIONS[self.depth], norm, classes)


class _VGG(nn.Module):
    def __init__(self, channels: int, convolutions: tuple[int, ...], norm: Normalisation, classes: int) -> None:
        super().__init__()
        shapes = zip(convolutions, pairwise((channels, *_CHANNELS)), strict=True)
        blocks = [_block(count, inputs, outputs, norm) for count, (inputs, outputs) in shapes]
        self.block0, self.block1, self.block2, self.block3, self.block4 = blocks
        self.classifier = classifier(_CHANNELS[-1], classes)
        initialise_convolutions(self)
        initialise_classifier(self)

    def forward(self, images: Tensor) -> Tensor:
        halved = 4 if images.shape[-1] >= _LARGE_IMAGE else 3
        maps = self.block0(images)
        for index, block in enumerate((self.block1, self.block2, self.block3, self.block4)):
            maps = block(max_pool2d(maps, 2) if index < halved else maps)
        output: Tensor = self.classifier(pooled(maps))
        return output


def _block(convolutions: int, inputs: int, outputs: int, norm: Normalisation) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(convolutions):
        source = outputs if index else inputs
        layers += [nn.Conv2d(source, outputs, 3, padding=1), norm(outputs), nn.ReLU()]
    return nn.Sequential(*layers)
