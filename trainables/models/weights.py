"""Trained weights from a file of the user's: its SHA-256 is checked, and nothing in it is executed."""

import argparse
import functools
import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import safetensors.torch
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor, nn

from trainables.base import Config, Misfit
from trainables.location import Location, read_file
from trainables.outcomes import DamagedFile

#: Under these names training scripts put the weights beside other things.
_NESTED = ("model", "state_dict")


class Weights(Config):
    """A file of named tensors: safetensors, or what `torch.save` wrote of a state dict, alone or as ``model`` in a dict
    (the published checkpoints of the CRD benchmark).

    `sha256` is that of the file, which is refused if it has another.
    """

    file: Location
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    def misfits(self) -> Iterator[Misfit]:
        """Whether the file is not there, or another one."""
        try:
            _checked(self)
        except DamagedFile as error:
            rule, _, fix = str(error).partition("; ")
            yield "weights.file", self.file, rule, fix

    def read(self) -> dict[str, Tensor]:
        """The tensors by name, on the CPU. Raises `DamagedFile` if there is no such file, or it is another one."""
        return _tensors(self.file, self.content())

    def content(self) -> bytes:
        """The file's, checked; raises `DamagedFile` as `read` does."""
        try:
            content = read_file(self.file)
        except OSError as error:
            raise DamagedFile(f"{self.file} cannot be read: {error}; put the weights there, or name another") from error
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            told = f"{self.file} has SHA-256 {found}, the config says {self.sha256}"
            raise DamagedFile(f"{told}; get the file again, or write its own if it is the one you mean")
        return content

    def load_into(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the network the tensors of its names, all of which must be there; the answer is what it has no use for.

        Raises `DamagedFile` for names and shapes that do not fit.
        """
        own = network.state_dict()
        missing = [name for name in own if name not in tensors]
        if missing:
            told = f"{self.file} holds the weights of another network: it has no {missing[0]}"
            raise DamagedFile(f"{told}, nor {len(missing) - 1} others" if missing[1:] else told)
        try:
            network.load_state_dict({name: tensors[name] for name in own})
        except RuntimeError as error:  # what torch says of other shapes
            raise DamagedFile(f"{self.file} holds the weights of another network: {error}") from error
        return {name: tensor for name, tensor in tensors.items() if name not in own}


@functools.lru_cache(maxsize=16)
def _checked(weights: Weights) -> None:
    """Raises what `content` raises; a file that is in order is read once."""
    weights.content()


def classifier_in(rest: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The one linear layer among tensors that are left over, as `weight` and `bias`; empty if that is not all."""
    by_end = {name.rpartition(".")[2]: tensor.float() for name, tensor in rest.items()}
    return by_end if len(rest) == 2 and by_end.keys() == {"weight", "bias"} else {}


def _tensors(file: str, content: bytes) -> dict[str, Tensor]:
    if file.endswith(".safetensors"):
        try:
            return safetensors.torch.load(content)
        except SafetensorError as error:
            raise DamagedFile(f"{file} holds no tensors: {error}") from error
    return _named(file, _saved(file, content))


def _saved(file: str, content: bytes) -> Any:
    """What `torch.save` wrote: tensors and plain values; the options of a training script are plain values too."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its reader of pickles does
        told = str(error).partition("\n")[0]
        raise DamagedFile(f"{file} holds something else than tensors and plain values, or is torn: {told}") from error


def _named(file: str, saved: Any) -> dict[str, Tensor]:
    found = next((saved[key] for key in _NESTED if isinstance(saved, dict) and isinstance(saved.get(key), dict)), saved)
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DamagedFile(f"{file} holds no state dict, neither alone nor as one of: {', '.join(_NESTED)}")
    return found
