"""Augmentation of a batch is that of each image by itself, as written down plainly here."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from trainables.datasets.augmentation import PadCrop, ResizedCrop

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 3, 9, 7), dtype=np.uint8))
DRAWN = torch.from_numpy(np.random.default_rng(1).random((40, 5), dtype=np.float32))


@pytest.mark.parametrize("mirror", [True, False])
def test_pad_crop_is_that_of_each_image(mirror: bool) -> None:
    views = PadCrop(pixels=2, mirror=mirror).apply(IMAGES, DRAWN[:, :3])
    mirrored = 0
    for image, (down, right, side), view in zip(IMAGES.numpy(), DRAWN[:, :3].numpy(), views.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
        top, left = math.floor(down * 5), math.floor(right * 5)
        window = padded[:, top : top + 9, left : left + 7]
        mirrored += mirror and side < 0.5
        assert np.array_equal(view, window[..., ::-1] if mirror and side < 0.5 else window)
    assert views.dtype == torch.uint8
    assert mirror == (0 < mirrored < 40)


def test_every_window_and_no_other_is_drawn() -> None:
    ends = torch.tensor([[0.0, 0.0, 0.9], [1 - 2**-24, 1 - 2**-24, 0.9]])
    views = PadCrop(pixels=1).apply(torch.arange(18, dtype=torch.uint8).view(1, 2, 3, 3).expand(2, -1, -1, -1), ends)
    assert views[0, 0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 3, 4]]
    assert views[1, 0].tolist() == [[4, 5, 0], [7, 8, 0], [0, 0, 0]]


def test_resized_crop_of_everything_is_the_image() -> None:
    whole = DRAWN.clone()
    whole[:, 1] = math.log(math.sqrt(7 / 9) ** 2) / math.log(4 / 3) / 2 + 0.5  # the ratio of the image itself
    views = ResizedCrop(least=1.0).apply(IMAGES, whole)
    for image, view, side in zip(IMAGES, views, whole[:, 4], strict=True):
        assert torch.equal(view, image.flip(-1) if side < 0.5 else image)


def test_resized_crop_is_a_bilinear_sample_of_its_window() -> None:
    """A ramp stays a ramp under bilinear sampling, so that a window can be read off it."""
    ramp = torch.arange(64, dtype=torch.float32).expand(40, 1, 64, 64)
    crop = ResizedCrop(least=0.2, mirror=False)
    top_B, left_B, height_B, width_B = crop._windows(64, 64, DRAWN.double())
    assert ((height_B * width_B) / 64**2 >= 0.2 * 0.99).all()
    assert ((top_B >= 0) & (top_B + height_B <= 64) & (left_B >= 0) & (left_B + width_B <= 64)).all()
    views = crop.apply(ramp, DRAWN)
    expected = (left_B[:, None] + (torch.arange(64) + 0.5) * width_B[:, None] / 64 - 0.5).clamp(0, 63)
    assert torch.allclose(views[:, 0, 10], expected.float(), atol=1e-3)


def test_resized_crop_of_a_file_is_that_window() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    image = Image.fromarray(np.stack([ramp] * 3, axis=-1))
    crop = ResizedCrop(least=0.1)
    for drawn in DRAWN:
        _, left, _, width = crop._windows(100, 200, drawn[None].double())[:, 0].tolist()
        pixels = crop.of_file(image, 32, drawn)
        assert pixels.shape == (3, 32, 32)
        row = pixels[0, 5, ::-1] if drawn[4] < 0.5 else pixels[0, 5]
        expected = left + (np.arange(32) + 0.5) * width / 32 - 0.5
        assert np.abs(row[3:-3].astype(float) - expected[3:-3]).max() <= 1.5
