"""Networks of timm, by name, with weights from a local file. Needs the extra ``timm``."""

import functools
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from trainables.base import Misfit
from trainables.models.standardised import Standardised
from trainables.models.weights import Weights, classifier_in
from trainables.network import ModelMember


class Timm(ModelMember):
    """A network that timm knows by this name, without its classifier; nothing is downloaded.

    Images are standardised as the publishers of its weights did; networks that are made for one size of image get the
    task's. `weights` are those of the published file, by its own names.
    """

    smallest_image: ClassVar[int] = 32  # the total stride of most

    name: Literal["timm"] = "timm"
    architecture: str = Field("resnet18", pattern="^[a-z0-9_.]+$")
    weights: Weights | None = None

    @property
    def trained(self) -> bool:
        """Whether there are `weights`."""
        return self.weights is not None

    def misfits(self) -> Iterator[Misfit]:
        """Whether timm is not there or does not know the name, and those of the `weights`."""
        try:
            known = _timm().is_model(self.architecture)
        except Exception as error:  # beside a torch that it does not fit it fails in ways of its own
            yield "name", self.name, f"the library timm must be there, but: {error}", "pip install '.[timm]'"
            return
        if not known:
            yield "architecture", self.architecture, "timm must know it", "choose one of timm.list_models()"
        if self.weights:
            yield from self.weights.misfits()

    @property
    def origin(self) -> str:
        """The version of timm."""
        return f"timm {_timm().__version__}"

    @property
    def batch_statistics(self) -> bool:
        """Whether it has any batch normalisation."""
        return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in _example(self.architecture).modules())

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (pooled)
        """F, as timm says."""
        return int(_example(self.architecture).num_features)

    def build(self, inputs: tuple[int, ...]) -> nn.Module:
        """The network on images (B, channels, size, size). Raises ModuleNotFoundError without the extra."""
        channels, *size = inputs
        network = _created(self.architecture, channels, tuple(size))
        if self.weights:
            self.weights.load_into(network, self.weights.read())
        mean, deviation = network.pretrained_cfg["mean"], network.pretrained_cfg["std"]
        return Standardised(network, mean, deviation) if len(mean) == channels else network

    def classifier(self) -> dict[str, Tensor]:
        """The last layer, if it is among the `weights`."""
        if self.weights is None:
            return {}
        inner, tensors = _example(self.architecture), self.weights.read()
        last = inner.pretrained_cfg["classifier"]
        return classifier_in({name: tensors[name] for name in tensors if name.rpartition(".")[0] == last})


def _timm() -> Any:
    import timm  # takes seconds to import

    return timm


def _created(architecture: str, channels: int, size: tuple[int, ...]) -> Any:
    settings: dict[str, Any] = {"pretrained": False, "num_classes": 0, "in_chans": channels}
    try:
        return _timm().create_model(architecture, img_size=size, **settings)
    except TypeError:  # a network for images of any size
        return _timm().create_model(architecture, **settings)


@functools.lru_cache(maxsize=4)
def _example(architecture: str) -> Any:
    return _timm().create_model(architecture, pretrained=False, num_classes=0)
