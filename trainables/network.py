"""The contract of networks, students and teachers alike; a member of the family imports this page and no other family.

Shape suffixes as in `trainables.protocols`.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.base import Config, Misfit


class ModelMember(Config):
    """The config of a network that turns inputs into features: of a task, or of the frozen teacher's features."""

    reads: ClassVar[Literal["images", "tokens", "vectors", "features"]] = "images"
    smallest_image: ClassVar[int] = 4
    generates: ClassVar[bool] = False

    @property
    def trained(self) -> bool:
        """Whether its weights come from elsewhere: a teacher of it is taken as it is."""
        return False

    @property
    def origin(self) -> str:
        """What decides the network beside this config and the code of its module, such as the version of a library."""
        return ""

    @property
    def vocabulary_read(self) -> int:
        """Different tokens that it knows, if it reads such."""
        return 0

    def misfits(self) -> Iterator[Misfit]:
        """What keeps it from being built: files and libraries that are not there."""
        yield from ()

    def classifier(self) -> dict[str, Tensor]:
        """`weight` (C, F) and `bias` (C,) that came with its weights; empty where none did."""
        return {}

    def blank(self, samples: int, inputs: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """Inputs (samples, *inputs) of the right type that say nothing."""
        number = torch.int64 if self.reads == "tokens" else torch.float32
        return torch.ones(samples, *inputs, dtype=number, device=device)

    @property
    def batch_statistics(self) -> bool:
        """Whether it normalises by statistics of the batch: then results depend on the number of workers."""
        return False

    @property
    def stochastic(self) -> bool:
        """Whether it draws random numbers while it trains: then results depend on the number of workers."""
        return False

    def feature_width(self, inputs: tuple[int, ...]) -> int:
        """F, for inputs of this shape: (channels, size, size) of an image, or (F,) of another network's features."""
        raise NotImplementedError

    def build(self, inputs: tuple[int, ...]) -> nn.Module:
        """The network from (B, *inputs), images in [0, 1] or tokens, to features (B, F).

        Raises `DamagedFile` if weights that it is given are not those that its config names, or do not fit.

        One that `generates` also has ``negative_log_likelihood(features_BF, images) -> (B,)``, in nats a value.
        """
        raise NotImplementedError
