"""What the networks of the CRD benchmark promise beyond being the published ones."""

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.models.benchmark import NETWORKS, SMALL
from trainables.models.cifar import CifarModel

ONE_EACH = [*SMALL, "ResNet50"]

each_network = pytest.mark.parametrize("name", ONE_EACH)
each_normalisation = pytest.mark.parametrize("normalisation", ["batch", "group"])


def config_of(name: str, normalisation: str = "batch") -> CifarModel:
    return NETWORKS[name].model_validate({**NETWORKS[name].to_json(), "normalisation": normalisation})


def built(config: CifarModel, inputs: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(0)
    return config.build(inputs).train()


@each_normalisation
@each_network
def test_trains_every_weight_on_the_smallest_image_of_one_channel(name: str, normalisation: str) -> None:
    config = config_of(name, normalisation)
    inputs = (1, config.smallest_image, config.smallest_image)
    network = built(config, inputs)
    features_BF: Tensor = network(torch.rand(8, *inputs))
    (features_BF * torch.randn(features_BF.shape)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@each_normalisation
@each_network
@pytest.mark.parametrize("more", [0, 17])
def test_features_are_as_wide_as_declared(name: str, normalisation: str, more: int) -> None:
    config = config_of(name, normalisation)
    inputs = (3, config.smallest_image + more, config.smallest_image + more)
    with torch.no_grad():
        features_BF = built(config, inputs)(torch.rand(2, *inputs))
    assert features_BF.shape == (2, config.feature_width(inputs))
    assert features_BF.isfinite().all()


@pytest.mark.parametrize("name", [name for name in ONE_EACH if name != "vgg8"])
def test_at_the_smallest_image_the_last_stride_has_two_pixels_to_halve(name: str) -> None:
    config = NETWORKS[name]
    inputs = (3, config.smallest_image, config.smallest_image)
    with torch.device("meta"):
        network = config.build(inputs)
        seen: list[int] = []
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.register_forward_pre_hook(lambda _, maps: seen.append(maps[0].shape[-1]))
        network(torch.empty(2, *inputs))
    assert min(seen) == 2


def test_vgg_cannot_halve_a_smaller_image() -> None:
    network = built(NETWORKS["vgg8"], (3, 7, 7))
    with pytest.raises(RuntimeError, match="too small"):
        network(torch.rand(2, 3, 7, 7))


@pytest.mark.parametrize(("size", "last"), [(32, 4), (48, 6), (64, 4), (96, 6)])
def test_vgg_halves_large_images_once_more(size: int, last: int) -> None:
    with torch.device("meta"):
        network = NETWORKS["vgg8"].build((3, size, size))
        seen: list[int] = []
        network.get_submodule("block4").register_forward_hook(lambda *args: seen.append(args[-1].shape[-1]))
        network(torch.empty(1, 3, size, size))
    assert seen == [last]


@each_network
def test_says_truly_whether_a_sample_depends_on_those_beside_it(name: str) -> None:
    for normalisation in ("batch", "group"):
        config = config_of(name, normalisation)
        network = built(config, (3, 16, 16))
        images = torch.rand(3, 3, 16, 16)
        with torch.no_grad():
            together, alone = network(images)[:2], network(images[:2])
        depends = not torch.allclose(together, alone, rtol=1e-4, atol=1e-5)
        assert depends == config.batch_statistics == (normalisation == "batch")


@each_network
def test_group_normalisation_keeps_all_weights_and_no_statistics(name: str) -> None:
    with torch.device("meta"):
        batch, group = (config_of(name, kind).build((3, 32, 32)) for kind in ("batch", "group"))
    names = [[(key, value.shape) for key, value in network.named_parameters()] for network in (batch, group)]
    assert names[0] == names[1]
    assert not list(group.named_buffers())
    assert {module.num_groups for module in group.modules() if isinstance(module, nn.GroupNorm)} == {1}
