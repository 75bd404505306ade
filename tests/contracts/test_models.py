"""What holds for every network."""

from typing import Any

import pytest
import torch

from tests.contracts.families import NAMED
from trainables.base import Config

each_model = pytest.mark.parametrize("member", NAMED["models"], ids=lambda member: member.__name__)


def built(member: type[Config], width: int) -> tuple[Any, torch.nn.Module]:
    config: Any = member.model_validate({"width": width})
    torch.manual_seed(0)
    return config, config.build(3)


@each_model
@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("image_size", [8, 32])
def test_features_are_as_wide_as_declared(member: type[Config], width: int, image_size: int) -> None:
    config, network = built(member, width)
    assert network(torch.rand(2, 3, image_size, image_size)).shape == (2, config.feature_width)


@each_model
def test_a_sample_does_not_depend_on_those_beside_it(member: type[Config]) -> None:
    _, network = built(member, 4)
    images = torch.rand(6, 3, 8, 8)
    together = network(images)
    alone = torch.cat([network(image.unsqueeze(0)) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


@each_model
def test_all_weights_learn(member: type[Config]) -> None:
    _, network = built(member, 4)
    network(torch.rand(6, 3, 8, 8)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
