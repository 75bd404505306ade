"""The MLP: features of images of any size, and every product counted."""

import pytest
import torch
from torch import Tensor, nn

from trainables.compute import count_layers
from trainables.models.mlp import MLP

SMALL = MLP(width=12, depth=3)


def network(inputs: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(0)
    return SMALL.build(inputs)


def images(count: int, inputs: tuple[int, ...]) -> Tensor:
    return torch.rand(count, *inputs, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("inputs", [(1, 1, 1), (1, 8, 8), (3, 5, 5), (3, 32, 32)])
def test_reads_images_of_any_size(inputs: tuple[int, ...]) -> None:
    assert network(inputs)(images(2, inputs)).shape == (2, SMALL.feature_width(inputs)) == (2, 12)
    pixels = inputs[0] * inputs[1] * inputs[2]
    flops = sum(layer.flops for layer in count_layers(SMALL, inputs, 5))
    assert flops == 2 * 5 * (pixels * 12 + 12 * 12 + 12 * 12)
    weights = sum(parameter.numel() for parameter in network(inputs).parameters())
    assert weights == (pixels + 1) * 12 + 2 * 13 * 12 + 3 * 2 * 12


def test_layers_are_normalised_and_rectified() -> None:
    built, inputs = network((1, 8, 8)), images(4, (1, 8, 8))
    hidden = (2 * inputs - 1).flatten(1)
    for layer in (module for module in built.modules() if isinstance(module, nn.Linear)):
        hidden = hidden @ layer.weight.T + layer.bias
        hidden = (hidden - hidden.mean(dim=1, keepdim=True)) / hidden.std(dim=1, correction=0, keepdim=True)
        hidden = hidden.clamp_min(0)
    torch.testing.assert_close(built(inputs), hidden, rtol=1e-3, atol=1e-3)


def test_a_sample_does_not_depend_on_those_beside_it() -> None:
    built, inputs = network((1, 8, 8)), images(4, (1, 8, 8))
    alone = torch.cat([built(image.unsqueeze(0)) for image in inputs])
    torch.testing.assert_close(built(inputs), alone, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


def test_all_weights_learn() -> None:
    built = network((1, 8, 8))
    built(images(6, (1, 8, 8))).square().matmul(torch.arange(12.0)).sum().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
