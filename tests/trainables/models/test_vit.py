"""The vision transformer: sizes that are published, products that are counted, and a block like torch's own."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.compute import count_layers
from trainables.models.vit import ViT, _ViT

SMALL = ViT(width=12, depth=2, heads=3)
INPUTS = (3, 8, 8)


def network(config: ViT = SMALL, inputs: tuple[int, ...] = INPUTS) -> _ViT:
    torch.manual_seed(0)
    return config.build(inputs)


def images(count: int = 4, inputs: tuple[int, ...] = INPUTS) -> Tensor:
    return torch.rand(count, *inputs, generator=torch.Generator().manual_seed(1))


def forward_flops(config: ViT, inputs: tuple[int, ...], batch: int) -> int:
    """By hand: the patches, and in each block queries, keys and values, scores, mixture, output and MLP."""
    patches, width = inputs[1] * inputs[2] // config.patch**2, config.width
    tokens = 1 + patches
    embedding = patches * width * inputs[0] * config.patch**2
    block = tokens * (3 * width**2 + tokens * width + tokens * width + width**2 + 2 * 4 * width**2)
    return 2 * batch * (embedding + config.depth * block)


def test_vit_small_of_16_by_16_patches_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        built = ViT(patch=16).build((3, 224, 224))
    weights = sum(parameter.numel() for parameter in built.parameters())
    assert weights == 21_665_664
    assert weights + (384 + 1) * 1000 == 22_050_664  # with a head for 1000 classes: the 22M of the paper


@pytest.mark.parametrize("config", [SMALL, ViT(), ViT(width=16, depth=1, heads=1, patch=2, dropout=0.1)], ids=str)
@pytest.mark.parametrize("inputs", [(1, 8, 8), (3, 32, 32)])
def test_every_product_is_counted_where_there_are_no_data(config: ViT, inputs: tuple[int, ...]) -> None:
    counted = count_layers(config, inputs, 5)
    assert sum(layer.flops for layer in counted) == forward_flops(config, inputs, 5)


@pytest.mark.parametrize("training", [True, False])
def test_every_product_is_counted_where_there_are(training: bool) -> None:
    built = network().train(training)
    with FlopCounterMode(display=False) as counter:
        loss = built(images()).sum()
        forward = counter.get_total_flops()
        loss.backward()
    counted = count_layers(SMALL, INPUTS, 4)
    assert forward == sum(layer.flops for layer in counted) == forward_flops(SMALL, INPUTS, 4)
    backward = counter.get_total_flops() - forward
    assert backward == sum(layer.flops * layer.operands_with_gradient for layer in counted)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(images())
    assert counter.get_total_flops() == forward


def test_blocks_do_what_those_of_torch_do() -> None:
    ours = network()
    for block in ours.blocks:
        theirs = nn.TransformerEncoderLayer(
            12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        state = block.state_dict()
        renamed = {
            "norm1": "attention.0",
            "self_attn.in_proj_": "attention.1.queries_keys_values.",
            "self_attn.out_proj": "attention.1.output",
            "norm2": "mlp.0",
            "linear1": "mlp.1",
            "linear2": "mlp.4",
        }
        copied = {}
        for key in theirs.state_dict():
            old = next(prefix for prefix in renamed if key.startswith(prefix))
            copied[key] = state[key.replace(old, renamed[old])]
        theirs.load_state_dict(copied)
        tokens = torch.randn(4, 7, 12, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(block(tokens), theirs(tokens), rtol=1e-5, atol=1e-5)


def test_a_feature_depends_on_every_pixel_and_on_where_it_is() -> None:
    built, seen = network(), images(1).requires_grad_()
    built(seen)[0].square().matmul(torch.arange(12.0)).backward()
    assert seen.grad is not None
    assert (seen.grad != 0).all()
    assert not torch.allclose(built(images(1)), built(images(1).flip(3)), atol=1e-3)
    with torch.no_grad():
        built.positions.zero_()
        patches = images(1).unflatten(3, (2, 4))  # two patches side by side
        torch.testing.assert_close(built(patches.flatten(3)), built(patches.flip(3).flatten(3)))


def test_a_sample_does_not_depend_on_those_beside_it() -> None:
    built = network()
    alone = torch.cat([built(image.unsqueeze(0)) for image in images()])
    torch.testing.assert_close(built(images()), alone, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


def test_all_weights_learn() -> None:
    built = network()
    built(images()).square().matmul(torch.arange(12.0)).sum().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_is_drawn_in_training_alone_and_from_the_seed() -> None:
    config = ViT(width=12, depth=1, heads=3, dropout=0.5)
    assert config.stochastic
    assert not SMALL.stochastic
    built = network(config)
    torch.manual_seed(3)
    first, second = built(images()), built(images())
    torch.manual_seed(3)
    assert torch.equal(built(images()), first)
    assert not torch.equal(first, second)
    built.eval()
    assert torch.equal(built(images()), built(images()))


def test_refuses_heads_that_do_not_divide_the_width_and_patches_that_do_not_divide_the_image() -> None:
    with pytest.raises(ValidationError, match="width must be a multiple of heads, 5; change it to 10"):
        ViT(width=12, heads=5)
    for inputs in ((1, 6, 6), (1, 8, 6), (1, 2, 2)):
        with pytest.raises(ValueError, match="patch, 4, must divide the sides of the image"):
            SMALL.build(inputs)


@pytest.mark.parametrize("size", [4, 8, 28, 32])
def test_features_are_as_wide_as_declared(size: int) -> None:
    inputs = (1, size, size)
    assert network(inputs=inputs)(images(2, inputs)).shape == (2, SMALL.feature_width(inputs))
