"""Images as published networks want them: each channel minus a mean, over a deviation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Standardised(nn.Module):
    """A network behind the standardisation of its images, whose constants are no weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """What the network makes of images in [0, 1]."""
        features: Tensor = self.network((images - self.mean) / self.deviation)
        return features
