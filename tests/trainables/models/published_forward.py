"""The published networks as plain functions of a checkpoint's tensors: images (B, 3, 32, 32) to logits.

Source of the architectures: github.com/HobbitLong/RepDistiller, commit b84f547, folder models. Evaluation only: batch
normalisation by the running statistics.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, linear, max_pool2d, relu

STATISTICS = ("running_mean", "running_var", "weight", "bias")


@dataclass(frozen=True)
class Checkpoint:
    """Layers by their published names."""

    tensors: dict[str, Tensor]

    def has(self, name: str) -> bool:
        return any(key.startswith(f"{name}.") for key in self.tensors)

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.tensors[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        return conv2d(x, weight, self.tensors.get(f"{name}.bias"), stride, weight.shape[2] // 2, groups=groups)

    def bn(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (self.tensors[f"{name}.{each}"] for each in STATISTICS)
        return batch_norm(x, mean, var, weight, bias)

    def logits(self, name: str, maps: Tensor) -> Tensor:
        return linear(maps.mean(dim=(2, 3)), self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def blocks(self, stage: str) -> list[tuple[str, bool]]:
        """The names of a stage's blocks, and whether it is the first."""
        return [(f"{stage}.{index}", index == 0) for index in range(100) if self.has(f"{stage}.{index}")]


def logits_of(network: str, tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """The logits of a network by its published name, such as ``wrn_16_2``."""
    architectures = {
        "resnet": _resnet,
        "wrn": _wide_resnet,
        "vgg": _vgg,
        "MobileNetV2": _mobile_half,
        "ShuffleV1": _shuffle_v1,
        "ShuffleV2": _shuffle_v2,
        "ResNet50": _resnet50,
    }
    forward = next(forward for start, forward in architectures.items() if network.startswith(start))
    return forward(Checkpoint(tensors), images)


def _resnet(net: Checkpoint, x: Tensor) -> Tensor:
    x = relu(net.bn("bn1", net.conv("conv1", x)))
    for layer in (1, 2, 3):
        for at, first in net.blocks(f"layer{layer}"):
            stride = 2 if first and layer > 1 else 1
            out = relu(net.bn(f"{at}.bn1", net.conv(f"{at}.conv1", x, stride)))
            out = net.bn(f"{at}.bn2", net.conv(f"{at}.conv2", out))
            if net.has(f"{at}.downsample"):
                x = net.bn(f"{at}.downsample.1", net.conv(f"{at}.downsample.0", x, stride))
            x = relu(out + x)
    return net.logits("fc", x)


def _resnet50(net: Checkpoint, x: Tensor) -> Tensor:
    x = relu(net.bn("bn1", net.conv("conv1", x)))
    for layer in (1, 2, 3, 4):
        for at, first in net.blocks(f"layer{layer}"):
            stride = 2 if first and layer > 1 else 1
            out = relu(net.bn(f"{at}.bn1", net.conv(f"{at}.conv1", x)))
            out = relu(net.bn(f"{at}.bn2", net.conv(f"{at}.conv2", out, stride)))
            out = net.bn(f"{at}.bn3", net.conv(f"{at}.conv3", out))
            if first:
                x = net.bn(f"{at}.shortcut.1", net.conv(f"{at}.shortcut.0", x, stride))
            x = relu(out + x)
    return net.logits("linear", x)


def _wide_resnet(net: Checkpoint, x: Tensor) -> Tensor:
    x = net.conv("conv1", x)
    for stage in (1, 2, 3):
        for at, first in net.blocks(f"block{stage}.layer"):
            stride = 2 if first and stage > 1 else 1
            active = relu(net.bn(f"{at}.bn1", x))
            out = relu(net.bn(f"{at}.bn2", net.conv(f"{at}.conv1", active, stride)))
            out = net.conv(f"{at}.conv2", out)
            x = out + (net.conv(f"{at}.convShortcut", active, stride) if net.has(f"{at}.convShortcut") else x)
    return net.logits("fc", relu(net.bn("bn1", x)))


def _vgg(net: Checkpoint, x: Tensor) -> Tensor:
    for block in range(5):
        for index in (0, 3, 6, 9):
            if net.has(f"block{block}.{index}"):
                x = relu(net.bn(f"block{block}.{index + 1}", net.conv(f"block{block}.{index}", x)))
        if block < 3:
            x = max_pool2d(x, 2)
    return net.logits("classifier", x)


def _mobile_half(net: Checkpoint, x: Tensor) -> Tensor:
    x = relu(net.bn("conv1.1", net.conv("conv1.0", x, stride=2)))
    for stage in range(7):
        for at, first in net.blocks(f"blocks.{stage}"):
            out = relu(net.bn(f"{at}.conv.1", net.conv(f"{at}.conv.0", x)))
            out = relu(net.bn(f"{at}.conv.4", net.conv(f"{at}.conv.3", out, 2 if first and stage in (2, 3, 5) else 1)))
            out = net.bn(f"{at}.conv.7", net.conv(f"{at}.conv.6", out))
            x = out if first else x + out
    return net.logits("classifier.0", relu(net.bn("conv2.1", net.conv("conv2.0", x))))


def _shuffle(x: Tensor, groups: int) -> Tensor:
    order = torch.arange(x.shape[1]).reshape(groups, -1).T.flatten()
    return x[:, order]


def _shuffle_v1(net: Checkpoint, x: Tensor) -> Tensor:
    x = relu(net.bn("bn1", net.conv("conv1", x)))
    for layer in (1, 2, 3):
        for at, first in net.blocks(f"layer{layer}"):
            out = relu(net.bn(f"{at}.bn1", net.conv(f"{at}.conv1", x)))
            out = _shuffle(out, 1 if at == "layer1.0" else 3)
            out = relu(net.bn(f"{at}.bn2", net.conv(f"{at}.conv2", out, 2 if first else 1)))
            out = net.bn(f"{at}.bn3", net.conv(f"{at}.conv3", out))
            x = relu(torch.cat([out, avg_pool2d(x, 3, 2, 1)], 1) if first else out + x)
    return net.logits("linear", x)


def _shuffle_v2(net: Checkpoint, x: Tensor) -> Tensor:
    x = relu(net.bn("bn1", net.conv("conv1", x)))
    for layer in (1, 2, 3):
        for at, first in net.blocks(f"layer{layer}"):
            if first:
                left = net.bn(f"{at}.bn1", net.conv(f"{at}.conv1", x, 2))
                left = relu(net.bn(f"{at}.bn2", net.conv(f"{at}.conv2", left)))
                right = relu(net.bn(f"{at}.bn3", net.conv(f"{at}.conv3", x)))
                right = net.bn(f"{at}.bn4", net.conv(f"{at}.conv4", right, 2))
                right = relu(net.bn(f"{at}.bn5", net.conv(f"{at}.conv5", right)))
            else:
                left, right = x.chunk(2, dim=1)
                right = relu(net.bn(f"{at}.bn1", net.conv(f"{at}.conv1", right)))
                right = net.bn(f"{at}.bn2", net.conv(f"{at}.conv2", right))
                right = relu(net.bn(f"{at}.bn3", net.conv(f"{at}.conv3", right)))
            x = _shuffle(torch.cat([left, right], 1), 2)
    return net.logits("linear", relu(net.bn("bn2", net.conv("conv2", x))))
