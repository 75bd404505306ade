"""From the bytes of an image file to pixels."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def decoded(content: bytes) -> Image.Image:
    """The image in a file, in RGB. Raises OSError if it is none, or is cut off."""
    image = Image.open(io.BytesIO(content))
    return image if image.mode == "RGB" else image.convert("RGB")


def middle(image: Image.Image, size: int) -> NDArray[Any]:
    """Pixels (3, size, size): the shorter side resized to `size`, and the middle cut out."""
    return channels_first(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR))


def channels_first(image: Image.Image) -> NDArray[Any]:
    """Pixels (C, H, W) of an image as they are."""
    array = np.asarray(image)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
