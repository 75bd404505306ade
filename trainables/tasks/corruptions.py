"""Corrupted images in the style of CIFAR-C: the kinds of Hendrycks and Dietterich 2019 (arXiv 1903.12261), made here.

Names and five severities are theirs; the parameters are ours, so figures are not to be compared with published ones.
What is random about an image is a function of (kind, severity, image) alone.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from trainables.evidence import Inputs
from trainables.randomness import numpy_stream

Corruption = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "gaussian_blur",
    "motion_blur",
    "brightness",
    "contrast",
    "pixelate",
]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)
Severity = Literal[1, 2, 3, 4, 5]

_SEED = 0  # the same images for every trial

Values = NDArray[np.float32]


class Corrupted:
    """Images, each of them under one kind and severity: those that there are, in turn. `images` are the clean ones."""

    def __init__(self, images: Inputs, kinds: tuple[Corruption, ...], severities: tuple[Severity, ...]) -> None:
        self.images = images
        self.turns = [(kind, severity) for severity in severities for kind in kinds]

    def __getitem__(self, sample_B: Tensor, /) -> Tensor:
        """(B,) to (B, channels, height, width) in [0, 1]."""
        clean = self.images[sample_B].numpy()
        samples = sample_B.tolist()
        corrupted = [self._one(image, sample) for image, sample in zip(clean, samples, strict=True)]
        return torch.from_numpy(np.stack(corrupted)) if corrupted else torch.from_numpy(clean)

    def _one(self, image: Values, sample: int) -> Values:
        kind, severity = self.turns[sample % len(self.turns)]
        return corrupt(image, kind, severity, sample)


def corrupt(image: Values, kind: Corruption, severity: Severity, sample: int) -> Values:
    """The image (channels, height, width) in [0, 1] under one corruption; `sample` is its number."""
    stream = numpy_stream(_SEED, f"corruption/{kind}/{severity}", sample)
    changed: Values = np.clip(_KINDS[kind](image, severity - 1, stream), 0, 1).astype(np.float32)
    return changed


def _gaussian_noise(image: Values, level: int, stream: np.random.Generator) -> Values:
    return image + (0.04, 0.06, 0.08, 0.11, 0.15)[level] * stream.standard_normal(image.shape, dtype=np.float32)


def _shot_noise(image: Values, level: int, stream: np.random.Generator) -> Values:
    photons = (300, 150, 80, 50, 30)[level]
    return (stream.poisson(image * photons) / photons).astype(np.float32)


def _impulse_noise(image: Values, level: int, stream: np.random.Generator) -> Values:
    share = (0.01, 0.03, 0.05, 0.09, 0.14)[level]
    uniform = stream.random(image.shape, dtype=np.float32)
    return np.where(uniform < share / 2, 0, np.where(uniform < share, 1, image))


def _gaussian_blur(image: Values, level: int, stream: np.random.Generator) -> Values:  # noqa: ARG001
    deviation = (0.5, 0.7, 0.9, 1.2, 1.6)[level]
    radius = 4
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    return _filtered(image, np.outer(weights, weights))


def _motion_blur(image: Values, level: int, stream: np.random.Generator) -> Values:
    """A mean along a line in one of eight directions."""
    length, angle = (2, 3, 4, 5, 7)[level], np.pi * stream.integers(8) / 8
    kernel = np.zeros((15, 15))
    for step in np.linspace(-length / 2, length / 2, 4 * length + 1):
        kernel[round(7 + step * np.sin(angle)), round(7 + step * np.cos(angle))] += 1
    return _filtered(image, kernel)


def _brightness(image: Values, level: int, stream: np.random.Generator) -> Values:  # noqa: ARG001
    return image + np.float32((0.06, 0.12, 0.18, 0.24, 0.32)[level])


def _contrast(image: Values, level: int, stream: np.random.Generator) -> Values:  # noqa: ARG001
    mean = image.mean(axis=(1, 2), keepdims=True)
    flatter: Values = mean + np.float32((0.75, 0.55, 0.4, 0.3, 0.2)[level]) * (image - mean)
    return flatter


def _pixelate(image: Values, level: int, stream: np.random.Generator) -> Values:  # noqa: ARG001
    height, width = image.shape[1:]
    share = (0.9, 0.75, 0.6, 0.5, 0.4)[level]
    small = interpolate(
        torch.from_numpy(image)[None], (max(1, int(share * height)), max(1, int(share * width))), mode="area"
    )
    large: Values = interpolate(small, (height, width), mode="nearest")[0].numpy()
    return large


def _filtered(image: Values, kernel: NDArray[np.float64]) -> Values:
    """Each channel under a kernel of odd sides, which is brought to a sum of 1; the border is repeated."""
    weights = torch.from_numpy((kernel / kernel.sum()).astype(np.float32))[None, None]
    down, right = weights.shape[2] // 2, weights.shape[3] // 2
    padded = pad(torch.from_numpy(image)[:, None], [right, right, down, down], mode="replicate")
    filtered: Values = conv2d(padded, weights)[:, 0].numpy()
    return filtered


_KINDS: dict[Corruption, Callable[[Values, int, np.random.Generator], Values]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur,
    "motion_blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
}
