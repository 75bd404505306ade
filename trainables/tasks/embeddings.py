"""Embeddings that an encoder of the user's has made."""

from typing import ClassVar, Literal

from torch import Tensor

from trainables.datasets.dataset import Dataset
from trainables.datasets.manifest import Kind
from trainables.evidence import Given
from trainables.location import Location
from trainables.tasks.stored import StoredTask


class Embeddings(StoredTask):
    """Ingested embeddings: refine them without their encoder, and measure what is gained on classes held out.

    Goes with ``teacher: {model: {name: stored}}``, and with an adapter for the student: the preset ``simskip``. Views
    are the student's own; the vectors are shown as they are.
    """

    gives: ClassVar[Given] = "vectors"
    kind: ClassVar[Kind] = "embeddings"

    name: Literal["embeddings"] = "embeddings"
    data: Location = "~/datasets/embeddings"

    def read(self, dataset: Dataset, split: str, index_B: Tensor) -> Tensor:
        """Vectors (B, D)."""
        return dataset.vectors(split, index_B)
