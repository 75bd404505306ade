"""Embeddings that somebody else's encoder has made: there is no network left to run."""

from typing import ClassVar, Literal

from torch import nn

from trainables.network import ModelMember


class StoredVectors(ModelMember):
    """The vectors of a task of embeddings as they are: as a teacher, the frozen encoder that made them."""

    reads: ClassVar[Literal["images", "tokens", "vectors", "features"]] = "vectors"
    smallest_image: ClassVar[int] = 0

    name: Literal["stored"] = "stored"

    @property
    def trained(self) -> bool:
        """Always: elsewhere."""
        return True

    def feature_width(self, inputs: tuple[int, ...]) -> int:
        """D of the vectors."""
        return inputs[0]

    def build(self, inputs: tuple[int, ...]) -> nn.Module:  # noqa: ARG002 (of any width)
        """The identity on (B, D)."""
        return nn.Identity()
