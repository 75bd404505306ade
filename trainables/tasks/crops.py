"""The augmentation of small photographs: a crop of the padded image, and a mirror."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from trainables.base import Config


class Crops(Config):
    """An image padded by `pixels` of black on each side and cropped at random, and mirrored one time in two.

    With 4 pixels that of CRD's release, and of He et al. 2016 (arXiv 1512.03385, section 4.2).
    """

    pixels: int = Field(4, ge=0, le=64)
    mirror: bool = True

    @property
    def draws(self) -> int:
        """Uniforms that one image takes: down, right, mirror."""
        return 3

    def apply(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Views of images (B, C, H, W) by uniforms in [0, 1) of shape (B, `draws`)."""
        height, width = images.shape[-2:]
        offset_B2 = (uniforms[:, :2] * (2 * self.pixels + 1)).long()
        row_BH = offset_B2[:, :1] + torch.arange(height)
        column_BW = offset_B2[:, 1:] + torch.arange(width)
        if self.mirror:
            column_BW = torch.where(uniforms[:, 2:] < 0.5, column_BW.flip(1), column_BW)
        padded = pad(images, [self.pixels] * 4)
        image_B = torch.arange(len(images))[:, None, None]
        # the channels come last of what is picked by three lists of numbers side by side
        picked = padded.permute(0, 2, 3, 1)[image_B, row_BH[:, :, None], column_BW[:, None, :]]
        return picked.permute(0, 3, 1, 2).contiguous()
