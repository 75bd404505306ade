"""What holds for every network."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contracts.families import members
from trainables.compute import count_layers
from trainables.models import ModelConfig
from trainables.models.stored import StoredVectors
from trainables.network import ModelMember

#: Sizes at which a test is quick.
SMALL: dict[str, dict[str, Any]] = {
    "adapter": {"hidden": 8, "mask": 0.0, "noise": 0.0},
    "convnet": {"width": 3},
    "encoder_decoder": {"width": 3, "decoder_width": 4},
    "function": {"function": "tests.trainables.models.made:encoder"},
    "mlp": {"width": 12},
    "resnet": {"depth": 8, "normalisation": "group"},
    "timm": {"architecture": "test_convnext"},
    "transformer": {"width": 12, "heads": 3, "depth": 1, "vocabulary": 40, "positions": 32},
    "vit": {"width": 12, "heads": 3, "depth": 2},
    "wide_resnet": {"depth": 10, "width": 1, "normalisation": "group"},
}


def small(member: type[ModelMember]) -> ModelMember:
    return member(**SMALL.get(member.model_fields["name"].default, {}))


def there(member: type[ModelMember]) -> bool:
    """Whether the libraries of the member can be imported here."""
    return not list(small(member).misfits())


MEMBERS = members(ModelConfig, ModelMember)
THERE = [member for member in MEMBERS if there(member)]
LEARNING = [member for member in THERE if member is not StoredVectors]
ONE_BY_ONE = [member for member in THERE if not small(member).batch_statistics]
WITH_GROUPS = [member for member in MEMBERS if "normalisation" in member.model_fields]
each_model = pytest.mark.parametrize("member", THERE, ids=lambda member: member.__name__)
each_that_learns = pytest.mark.parametrize("member", LEARNING, ids=lambda member: member.__name__)


def built(member: type[ModelMember], **changes: Any) -> tuple[ModelMember, tuple[int, ...], Any]:
    """A small config, the shape of one input, and the network."""
    config = member(**SMALL.get(member.model_fields["name"].default, {}), **changes)
    side = max(8, config.smallest_image)
    inputs = (3, side, side) if config.reads == "images" else (24,)
    torch.manual_seed(0)
    return config, inputs, config.build(inputs)


def drawn(config: ModelMember, count: int, inputs: tuple[int, ...]) -> Tensor:
    """Samples; texts are of different lengths."""
    if config.reads != "tokens":
        return torch.rand(count, *inputs)
    length_B1 = torch.arange(count)[:, None] % inputs[0] + 1
    return torch.randint(1, 41, (count, *inputs)) * (torch.arange(inputs[0]) < length_B1)


@each_model
def test_features_are_as_wide_as_declared_at_small_and_larger_images(member: type[ModelMember]) -> None:
    config, inputs, _ = built(member)
    for shape in {inputs, (1, 32, 32) if config.reads == "images" else inputs}:
        network = config.build(shape)
        assert network(drawn(config, 4, shape)).shape == (4, config.feature_width(shape))


@pytest.mark.parametrize("member", ONE_BY_ONE, ids=lambda member: member.__name__)
def test_a_sample_does_not_depend_on_those_beside_it(member: type[ModelMember]) -> None:
    config, inputs, network = built(member)
    samples = drawn(config, 6, inputs)
    together = network(samples)
    alone = torch.cat([network(sample.unsqueeze(0)) for sample in samples])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


@pytest.mark.parametrize("member", WITH_GROUPS, ids=lambda member: member.__name__)
def test_who_uses_statistics_of_the_batch_says_so(member: type[ModelMember]) -> None:
    for normalisation, says in (("batch", True), ("group", False)):
        config = member.model_validate({"normalisation": normalisation})
        kinds = {type(module).__name__ for module in config.build((3, 32, 32)).modules()}
        assert config.batch_statistics == says == ("BatchNorm2d" in kinds)


@each_that_learns
def test_all_weights_learn(member: type[ModelMember]) -> None:
    config, inputs, network = built(member)
    samples = drawn(config, 8, inputs)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    for _ in range(2):  # what starts at zero lets gradient through once it has moved
        optimizer.zero_grad()
        features = network(samples)
        loss = (features.square() @ torch.arange(1.0, features.shape[1] + 1)).mean()
        if config.generates:
            loss = loss + network.negative_log_likelihood(features, samples).mean()
        loss.backward()
        optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@each_model
def test_is_a_function_of_its_weights_once_it_is_frozen(member: type[ModelMember]) -> None:
    config, inputs, network = built(member)
    _, _, again = built(member)
    network.train()(drawn(config, 4, inputs))
    again.load_state_dict(network.state_dict())
    samples = drawn(config, 3, inputs)
    assert torch.equal(network.eval()(samples), again.eval()(samples))
    assert config.stochastic == (member.model_validate(config.to_json()).stochastic)


@each_that_learns
def test_its_products_are_counted_without_data(member: type[ModelMember]) -> None:
    config, inputs, _ = built(member)
    one, two = (count_layers(config, inputs, batch) for batch in (2, 4))
    assert len(one) == len(two) > 0
    assert sum(layer.flops for layer in two) == 2 * sum(layer.flops for layer in one) > 0
