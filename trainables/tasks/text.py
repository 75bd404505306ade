"""Ingested text, as tokens."""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainables.base import Misfit
from trainables.datasets.dataset import Dataset
from trainables.datasets.manifest import Kind
from trainables.evidence import Given
from trainables.location import Location, expanded, read_file
from trainables.randomness import per_sample_uniforms
from trainables.tasks.stored import StoredTask, View

_BYTES = 256


class Text(StoredTask):
    """Ingested sentences with labels: distil some classes, transfer to those held out and to other sets.

    The first `tokens` tokens of each are shown: those of the ``tokenizer.json`` in the folder `tokenizer` (as
    ``transformers`` writes it; needs that extra), or, without one, its bytes. A view leaves out one span of tokens, of
    a length up to `cutoff` of the sentence: span cutoff (Shen et al. 2020, arXiv 2009.13818, section 3.2).
    """

    gives: ClassVar[Given] = "tokens"
    kind: ClassVar[Kind] = "text"

    name: Literal["text"] = "text"
    data: Location = "~/datasets/text"
    tokenizer: Location | None = None
    tokens: int = Field(64, ge=2, le=100_000)
    cutoff: float = Field(0.2, ge=0, lt=1)

    @property
    def inputs(self) -> tuple[int, ...]:
        """(tokens,)."""
        return (self.tokens,)

    @property
    def vocabulary(self) -> int:
        """Different tokens."""
        return int(_tokenizer(self.tokenizer).get_vocab_size()) if self.tokenizer else _BYTES

    @property
    def origin(self) -> str:
        """The digest of the tokenizer."""
        return hashlib.sha256(read_file(_file(self.tokenizer))).hexdigest() if self.tokenizer else ""

    def misfits(self) -> Iterator[Misfit]:
        """What the manifests tell, and whether there is a tokenizer."""
        yield from super().misfits()
        if self.tokenizer:
            try:
                _tokenizer(self.tokenizer)
            except Exception as error:  # the library's own kinds have no name of theirs
                rule = f"there must be a tokenizer.json in this folder, and the extra `transformers`, but: {error}"
                yield "tokenizer", self.tokenizer, rule, "write where it is, or leave it out for bytes"

    def shape_at(self, location: str) -> tuple[int, ...]:  # noqa: ARG002 (any text is brought to it)
        """(tokens,)."""
        return self.inputs

    def read(self, dataset: Dataset, split: str, index_B: Tensor) -> Tensor:
        """Tokens (B, `tokens`), int64, counted from 1; 0 behind the end."""
        texts = dataset.texts(split, index_B)
        if self.tokenizer is None:
            found: list[Sequence[int]] = [text.encode()[: self.tokens] for text in texts]
        else:
            found = [encoded.ids for encoded in _tokenizer(self.tokenizer).encode_batch(texts)]
        shown = torch.zeros(len(texts), self.tokens, dtype=torch.int64)
        for row, ids in zip(shown, found, strict=True):
            ids = ids[: self.tokens]
            row[: len(ids)] = torch.tensor(list(ids), dtype=torch.int64) + 1
        return shown

    def viewing(self, dataset: Dataset, split: str) -> View:
        """Without a span."""

        @functools.lru_cache(maxsize=4)
        def uniforms(epoch: int, seed: int) -> Tensor:
            samples = dataset.samples(split)
            return torch.from_numpy(per_sample_uniforms(seed, "augmentation", epoch, samples, draws=2))

        return lambda index_B, epoch, seed: self.cut(self.read(dataset, split, index_B), uniforms(epoch, seed)[index_B])

    def cut(self, inputs: Tensor, uniforms: Tensor) -> Tensor:
        """Tokens (B, L) without a span each, by uniforms in [0, 1) of shape (B, 2): its length, and where it starts."""
        length_B1 = (inputs > 0).sum(dim=1, keepdim=True)
        span_B1 = (uniforms[:, :1] * (self.cutoff * length_B1 + 1)).long().clamp_max(length_B1 - 1).clamp_min(0)
        start_B1 = (uniforms[:, 1:] * (length_B1 - span_B1 + 1)).long()
        place_L = torch.arange(inputs.shape[1])
        from_BL = place_L + torch.where(place_L >= start_B1, span_B1, 0)
        padded = torch.cat([inputs, inputs.new_zeros(len(inputs), 1)], dim=1)
        return padded.gather(1, from_BL.clamp_max(inputs.shape[1]))


def _file(folder: str | None) -> str:
    return f"{expanded(folder or '')}/tokenizer.json"


@functools.lru_cache(maxsize=4)
def _tokenizer(folder: str) -> Any:
    from tokenizers import Tokenizer  # comes with transformers

    return Tokenizer.from_str(read_file(_file(folder)).decode())
