"""Distortions of small images: rotation, translation, noise. One function serves augmentation and shifted test sets."""

import math
from typing import Any

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from trainables.base import Config

#: Uniforms that one image takes: rotation, two translations, then noise for every pixel.
_GEOMETRY_DRAWS = 3


class Distortion(Config):
    """How far images are moved, at most: each is drawn uniformly between minus and plus these values.

    `pixels` of translation in each direction, `degrees` of rotation, and `noise` added to each pixel in [0, 1].
    """

    pixels: float = Field(0.0, ge=0)
    degrees: float = Field(0.0, ge=0, le=180)
    noise: float = Field(0.0, ge=0, le=1)

    def draws(self, pixels_per_image: int) -> int:
        """Uniform numbers that one image takes."""
        return _GEOMETRY_DRAWS + pixels_per_image

    def apply(self, images: Tensor, uniforms: NDArray[Any] | Tensor) -> Tensor:
        """Distort images (N, channels, height, width) by uniforms in [0, 1) of shape (N, `draws`)."""
        signed = 2 * torch.as_tensor(uniforms, dtype=images.dtype) - 1
        height, width = images.shape[-2:]
        angle_N = signed[:, 0] * math.radians(self.degrees)
        # affine_grid counts in half image sizes.
        right_N, down_N = signed[:, 1] * self.pixels * 2 / width, signed[:, 2] * self.pixels * 2 / height
        cosine_N, sine_N = angle_N.cos(), angle_N.sin()
        theta_N23 = torch.stack([cosine_N, -sine_N, right_N, sine_N, cosine_N, down_N], dim=1).view(-1, 2, 3)
        grid = affine_grid(theta_N23, list(images.shape), align_corners=False)
        moved = grid_sample(images, grid, align_corners=False)
        noise = signed[:, _GEOMETRY_DRAWS:].view(len(images), 1, height, width) * self.noise
        return (moved + noise).clamp(0, 1)
