"""A convolutional network with a decoder that says how likely the images were, given their features."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.models.convnet import ConvNet
from trainables.network import ModelMember

_COARSEST = 4  # pixels at a side where the decoder starts
_MASKED_LAYERS = 3  # with the first one a pixel's mean sees five pixels up and to the left


class EncoderDecoder(ModelMember):
    """An encoder, as `ConvNet`, that contrasts, and a decoder that generates (GCRL reconstructed at this scale).

    The likelihood of an image is ``prod_i N(x_i; m_i, deviation)``. The deviation is given, not learned: else the
    weight of this term against others would change as it shrinks. With the decoder
    `reconstruction`, m is upsampled from the features f alone; with `autoregressive`, m_i is a function of f and of the
    values before x_i in raster order, channel after channel within a pixel: masked convolutions over the image,
    conditioned on a map that is upsampled from f (van den Oord et al. 2016, arXiv 1606.05328, sections 2.1 and 2.3).

    After Kim et al. 2021 (arXiv 2106.06162): one network for a contrastive and a generative loss.

    Departures: reconstruction: more than that idea could not be read, and theirs is a transformer. Masked convolutions
    are one stack with rectifiers, not gated pairs of stacks, so there is a blind spot above and to the right.
    """

    generates: ClassVar[bool] = True

    name: Literal["encoder_decoder"] = "encoder_decoder"
    width: int = Field(8, ge=1, le=1024)
    decoder: Literal["reconstruction", "autoregressive"] = "reconstruction"
    decoder_width: int = Field(16, ge=1, le=1024)
    deviation: float = Field(1.0, ge=0.01, le=10)

    def feature_width(self, inputs: tuple[int, ...]) -> int:
        """F of the encoder."""
        return ConvNet(width=self.width).feature_width(inputs)

    def build(self, inputs: tuple[int, ...]) -> "_EncoderDecoder":
        """The network on images; it generates images of this size only."""
        decoder = _Upsampled if self.decoder == "reconstruction" else _Masked
        features = self.feature_width(inputs)
        encoder = ConvNet(width=self.width).build(inputs)
        return _EncoderDecoder(encoder, decoder(features, self.decoder_width, inputs), self.deviation)


class _EncoderDecoder(nn.Module):
    def __init__(self, encoder: nn.Module, decoder: nn.Module, deviation: float) -> None:
        super().__init__()
        self.encoder, self.decoder, self.deviation = encoder, decoder, deviation

    def forward(self, images: Tensor) -> Tensor:
        features_BF: Tensor = self.encoder(images)
        return features_BF

    def negative_log_likelihood(self, features_BF: Tensor, images: Tensor) -> Tensor:
        """``-log p(images | features)``, (B,), in nats a value."""
        means: Tensor = self.decoder(features_BF, images)
        squares_B = ((images - means) / self.deviation).square().flatten(1).mean(dim=1)
        return squares_B / 2 + math.log(self.deviation) + math.log(2 * math.pi) / 2


class _Upsampled(nn.Module):
    """Means (B, channels, height, width) of the values, from features alone."""

    def __init__(self, features: int, width: int, inputs: tuple[int, ...]) -> None:
        super().__init__()
        self.map = _upsampler(features, width, inputs)
        self.last = nn.Conv2d(width, inputs[0], 3, padding=1)

    def forward(self, features_BF: Tensor, images: Tensor) -> Tensor:  # noqa: ARG002 (features must tell it all)
        means: Tensor = self.last(self.map(features_BF))
        return means


class _Masked(nn.Module):
    """Means of the values, each from the features and from the values before it."""

    def __init__(self, features: int, width: int, inputs: tuple[int, ...]) -> None:
        super().__init__()
        channels = inputs[0]
        self.map = _upsampler(features, width, inputs)
        self.first = _MaskedConvolution(channels, width, 5, channels, sees_itself=False)
        self.conditions = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(_MASKED_LAYERS))
        self.layers = nn.ModuleList(_MaskedConvolution(width, width, 3, channels) for _ in range(_MASKED_LAYERS))
        self.last = _MaskedConvolution(width, channels, 1, channels)

    def forward(self, features_BF: Tensor, images: Tensor) -> Tensor:
        # No normalisation on this path: over space or channels it would let a value see itself and those after it.
        condition, hidden = self.map(features_BF), self.first(2 * images - 1)
        for layer, conditioned in zip(self.layers, self.conditions, strict=True):
            hidden = hidden + torch.relu(layer(hidden) + conditioned(condition))
        means: Tensor = self.last(hidden)
        return means


class _MaskedConvolution(nn.Conv2d):
    """A convolution over what comes before a pixel in raster order.

    Hidden channels are dealt to the image's channels in order; at the pixel itself each sees those of channels before
    its own, and of its own too if it `sees_itself`, as all layers but the first may.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, channels: int, *, sees_itself: bool = True) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        mask = torch.zeros_like(self.weight, requires_grad=False)
        mask[:, :, : size // 2] = 1
        mask[:, :, size // 2, : size // 2] = 1
        rank_in, rank_out = (torch.arange(count) * channels // count for count in (inputs, outputs))
        mask[:, :, size // 2, size // 2] = (rank_in < rank_out.unsqueeze(1) + sees_itself).float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        masked: Tensor = self._conv_forward(images, self.weight * self.mask, self.bias)
        return masked


def _upsampler(features: int, width: int, inputs: tuple[int, ...]) -> nn.Sequential:
    """From features (B, F) to a map (B, width, height, width of the image); each stage doubles the sides."""
    doublings = max(0, math.ceil(math.log2(max(inputs[1:]) / _COARSEST)))
    sizes = [tuple(-(-side // 2**left) for side in inputs[1:]) for left in range(doublings, -1, -1)]
    first = nn.Sequential(nn.Linear(features, width * math.prod(sizes[0])), nn.Unflatten(1, (width, *sizes[0])))
    return nn.Sequential(first, *(_stage(width, size) for size in sizes))


def _stage(width: int, size: tuple[int, ...]) -> nn.Sequential:
    convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
    return nn.Sequential(nn.Upsample(size), convolution, nn.GroupNorm(1, width), nn.ReLU())
