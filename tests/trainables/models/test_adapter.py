"""The adapter: the identity until it has learned, and what it does to its input while it does."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainables.compute import count_layers
from trainables.models.adapter import Adapter

WIDTH = 10
PLAIN = Adapter(hidden=8, mask=0.0, noise=0.0)


def network(config: Adapter, width: int = WIDTH) -> nn.Module:
    torch.manual_seed(0)
    return config.build((width,))


def features(count: int = 6, width: int = WIDTH) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(1))


def step(built: nn.Module) -> None:
    """One step of an optimiser: before it, no layer but the last has a gradient."""
    optimizer = torch.optim.SGD(built.parameters(), lr=0.1)
    built(features()).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_is_the_identity_to_the_last_bit_before_it_learns(depth: int) -> None:
    built = network(Adapter(hidden=8, depth=depth)).eval()
    assert torch.equal(built(features()), features())
    step(built)
    assert not torch.allclose(built(features()), features(), atol=1e-3)


def test_without_the_skip_it_is_another_map_with_the_same_layers() -> None:
    without = network(Adapter(hidden=8, skip=False)).eval()
    assert not torch.allclose(without(features()), features(), atol=1e-1)
    with_skip = network(Adapter(hidden=8)).eval()
    with_skip.load_state_dict(without.state_dict())
    torch.testing.assert_close(with_skip(features()), features() + without(features()))


@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize("skip", [True, False])
def test_all_weights_learn_after_the_first_step(depth: int, skip: bool) -> None:
    built = network(Adapter(hidden=8, depth=depth, skip=skip))
    step(built)
    built(features()).square().matmul(torch.arange(float(WIDTH))).sum().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_masks_and_disturbs_while_it_trains_as_much_as_it_says() -> None:
    ones = torch.ones(1000, 200)
    seen = network(Adapter(hidden=8, mask=0.3, noise=0.5), 200)(ones)  # still the identity
    masked, kept = seen == 0, seen[seen != 0]
    assert masked.float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / ones.numel()))
    assert kept.mean().item() == pytest.approx(1, abs=5 * 0.5 / math.sqrt(len(kept)))
    assert kept.std().item() == pytest.approx(0.5, rel=5 / math.sqrt(2 * len(kept)))
    # a feature at a time: neither whole samples nor whole features
    assert masked.float().mean(dim=0).std().item() == pytest.approx(math.sqrt(0.3 * 0.7 / 1000), rel=0.3)
    assert masked.float().mean(dim=1).std().item() == pytest.approx(math.sqrt(0.3 * 0.7 / 200), rel=0.3)


def test_draws_in_training_alone_and_from_the_seed() -> None:
    built = network(Adapter(hidden=8))
    torch.manual_seed(3)
    first, second = built(features()), built(features())
    torch.manual_seed(3)
    assert torch.equal(built(features()), first)
    assert not torch.equal(first, second)
    built.eval()
    assert torch.equal(built(features()), built(features()))


@pytest.mark.parametrize(("mask", "noise"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.1)])
def test_says_whether_it_draws(mask: float, noise: float) -> None:
    config = Adapter(hidden=8, mask=mask, noise=noise)
    built = network(config)
    assert config.stochastic == bool(mask or noise) == (not torch.equal(built(features()), built(features())))


def test_a_sample_does_not_depend_on_those_beside_it() -> None:
    built = network(PLAIN)
    step(built)
    alone = torch.cat([built(row.unsqueeze(0)) for row in features()])
    torch.testing.assert_close(built(features()), alone, rtol=1e-5, atol=1e-6)


def test_reads_and_writes_features_of_the_teachers_width() -> None:
    assert Adapter.reads == "features"
    for width in (1, 37):
        assert network(PLAIN, width)(features(3, width)).shape == (3, PLAIN.feature_width((width,))) == (3, width)


def test_every_product_is_counted_where_there_are_no_data() -> None:
    layers = count_layers(Adapter(hidden=8, depth=3), (WIDTH,), 5)
    assert [layer.flops for layer in layers] == [2 * 5 * product for product in (WIDTH * 8, 64, 64, 8 * WIDTH)]
    assert [layer.operands_with_gradient for layer in layers] == [1, 2, 2, 2]  # the teacher is frozen
