"""Any network of the user's, by the name of the function that makes it."""

import functools
import importlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from trainables.base import Misfit
from trainables.network import ModelMember


class Function(ModelMember):
    """What ``module:function`` makes when it is called with the shape of one image: a network from images to features.

    Features are (B, F). The module must be importable wherever trials run, and is executed there: it is code, as ours
    is. With `pretrained`, its weights are taken as they come, and a teacher of it is not trained. A `seed` of its own
    is not needed: weights that it draws from torch's generator are those of the trial's or the teacher's seed.
    """

    name: Literal["function"] = "function"
    function: str = Field("my_networks:encoder", pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    pretrained: bool = False

    @property
    def trained(self) -> bool:
        """As `pretrained` says."""
        return self.pretrained

    def misfits(self) -> Iterator[Misfit]:
        """Whether there is no such function."""
        try:
            self._made()
        except Exception as error:  # the module may raise anything
            rule = f"the function must be importable, but: {type(error).__name__}: {error}"
            yield "function", self.function, rule, "run from the folder that its module is in, or install it"

    @property
    def origin(self) -> str:
        """The source of its module."""
        return inspect.getsource(sys.modules[self._made().__module__])

    @property
    def batch_statistics(self) -> bool:
        """Whether it has any batch normalisation, on images of 32 pixels."""
        network = self.build((3, 32, 32))
        return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())

    def feature_width(self, inputs: tuple[int, ...]) -> int:
        """F, by a try."""
        return _width(self, inputs)

    def build(self, inputs: tuple[int, ...]) -> nn.Module:
        """The network. Raises what importing or calling raises, and TypeError if it makes no network."""
        network = self._made()(inputs)
        if not isinstance(network, nn.Module):
            raise TypeError(f"{self.function} must return a torch.nn.Module, but returned {type(network).__name__}")
        return network

    def _made(self) -> Any:
        module, _, function = self.function.partition(":")
        return getattr(importlib.import_module(module), function)


@functools.lru_cache(maxsize=16)
def _width(config: Function, inputs: tuple[int, ...]) -> int:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        features = config.build(inputs).eval()(config.blank(2, inputs))
    if features.dim() != 2:
        raise TypeError(f"{config.function} must map images to features (B, F), but gives {tuple(features.shape)}")
    return int(features.shape[1])
