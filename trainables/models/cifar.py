"""What the networks of the CRD benchmark share (Tian et al. 2020, arXiv 1910.10699; CIFAR-100).

Structure, names and initial weights are those of the authors' repository (github.com/HobbitLong/RepDistiller, commit
b84f547), so that its checkpoints fit. It feeds them images standardised by CIFAR-100's own means and deviations: here
`standardise: cifar100`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from trainables.base import Misfit
from trainables.models.standardised import Standardised
from trainables.models.weights import Weights, classifier_in
from trainables.network import ModelMember

#: Means and deviations of CIFAR-100's training images (RepDistiller, dataset/cifar100.py).
_STATISTICS = {"cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))}

Normalisation = Callable[[int], nn.Module]
"""Makes the normalisation of that many channels."""

Block = Callable[[int, int, int], nn.Module]
"""Makes a block from channels in, channels out and stride."""


class CifarModel(ModelMember):
    """A network of the benchmark. `smallest_image` is its total stride: below, a stride has nothing left to halve.

    Published with batch normalisation, each worker over its own share of the batch. With ``group``, group normalisation
    over the sample takes its place: a sample then does not depend on those beside it. With `weights` it starts from,
    and a teacher is, what was trained elsewhere: a checkpoint of the benchmark, say.
    """

    normalisation: Literal["batch", "group"] = "batch"
    standardise: Literal["none", "cifar100"] = "none"
    weights: Weights | None = None

    @property
    def trained(self) -> bool:
        """Whether there are `weights`."""
        return self.weights is not None

    @property
    def batch_statistics(self) -> bool:
        """Whether it normalises by statistics of the batch: then results depend on the number of workers."""
        return self.normalisation == "batch"

    def misfits(self) -> Iterator[Misfit]:
        """Those of the `weights`."""
        if self.weights:
            yield from self.weights.misfits()

    def build(self, inputs: tuple[int, ...]) -> nn.Module:
        """The network without its classifier: images (B, channels, size, size) to pooled features (B, F)."""
        network = self._network(inputs[0], _normalisation(self.normalisation), classes=0)
        if self.weights:
            self.weights.load_into(network, self.weights.read())
        return Standardised(network, *_STATISTICS[self.standardise]) if self.standardise != "none" else network

    def classifier(self) -> dict[str, Tensor]:
        """The last layer of the published network, if it is among the `weights`."""
        if self.weights is None:
            return {}
        tensors = self.weights.read()
        inner = self._network(3, _normalisation(self.normalisation), classes=0)
        return classifier_in(self.weights.load_into(inner, tensors))

    def published(self, classes: int) -> nn.Module:
        """The same network with its classifier: images (B, 3, size, size) to logits (B, classes)."""
        return self._network(3, _normalisation(self.normalisation), classes)

    def _network(self, channels: int, norm: Normalisation, classes: int) -> nn.Module:
        raise NotImplementedError


def _normalisation(kind: Literal["batch", "group"]) -> Normalisation:
    return nn.BatchNorm2d if kind == "batch" else partial(nn.GroupNorm, 1)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size of the image, but for its stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)


def stage(block: Block, blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Blocks in a row; the first changes the channels and the size of the image."""
    rest = (block(outputs, outputs, 1) for _ in range(blocks - 1))
    return nn.Sequential(block(inputs, outputs, stride), *rest)


def shortcut(inputs: int, outputs: int, stride: int, norm: Normalisation) -> nn.Sequential:
    """The identity where the shape stays, else a strided projection."""
    if inputs == outputs and stride == 1:
        return nn.Sequential()
    return nn.Sequential(convolution(inputs, outputs, 1, stride), norm(outputs))


def classifier(features: int, classes: int) -> nn.Module:
    """Logits of the features, or with no classes the features themselves."""
    return nn.Linear(features, classes) if classes else nn.Identity()


def pooled(maps: Tensor) -> Tensor:
    """The mean over all positions: (B, F, height, width) to (B, F)."""
    return adaptive_avg_pool2d(maps, 1).flatten(1)


def initialise_convolutions(network: nn.Module) -> None:
    """He et al. 2015 (arXiv 1502.01852), by fan-out; biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_classifier(network: nn.Module) -> None:
    """Nearly no opinion at first: weights of deviation 0.01, biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
