"""The networks of the CRD benchmark are the published ones: names, shapes, outputs, sizes, initial weights."""

import functools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode

from tests.trainables.models.benchmark import NETWORKS, SMALL
from tests.trainables.models.published_forward import logits_of
from tests.trainables.models.published_names import CLASSES, Shapes, shapes_of

#: Parameters and forward FLOPs of one image (two per multiply-add), counted on RepDistiller's own modules with 100
#: classes; they round to the figures in print, such as .70M of WRN-16-2 and 2166 MFLOP of resnet32x4.
COUNTS = {
    "resnet8": (83_892, 25_014_784),
    "resnet14": (181_108, 53_326_336),
    "resnet20": (278_324, 81_637_888),
    "resnet32": (472_756, 138_260_992),
    "resnet44": (667_188, 194_884_096),
    "resnet56": (861_620, 251_507_200),
    "resnet110": (1_736_564, 506_311_168),
    "resnet8x4": (1_233_540, 354_142_208),
    "resnet32x4": (7_433_860, 2_166_081_536),
    "wrn_16_1": (180_916, 53_326_336),
    "wrn_16_2": (703_284, 202_236_928),
    "wrn_40_1": (569_780, 166_572_544),
    "wrn_40_2": (2_255_156, 655_221_760),
    "vgg8": (3_965_028, 192_385_024),
    "vgg11": (9_277_284, 418_877_440),
    "vgg13": (9_462_180, 569_872_384),
    "vgg16": (14_774_436, 796_364_800),
    "vgg19": (20_086_692, 1_022_857_216),
    "MobileNetV2": (812_836, 13_047_296),
    "ShuffleV1": (949_258, 77_382_912),
    "ShuffleV2": (1_355_528, 89_008_896),
    "ResNet50": (23_705_252, 2_596_028_416),
}

each_network = pytest.mark.parametrize("name", NETWORKS)


@functools.cache
def without_data(name: str) -> nn.Module:
    with torch.device("meta"):
        return NETWORKS[name].published(CLASSES)


def random_checkpoint(shapes: Shapes) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def tensor(key: str, shape: tuple[int, ...]) -> Tensor:
        if key.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            return 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
        scale = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
        return scale * torch.randn(shape, generator=generator, dtype=torch.float64)

    return {key: tensor(key, shape) for key, shape in shapes.items()}


@each_network
def test_tensors_have_the_published_names_and_shapes(name: str) -> None:
    state = without_data(name).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes_of(name)


@pytest.mark.parametrize("name", [*SMALL, "vgg13", "ResNet50"])
def test_a_published_checkpoint_loads_and_gives_the_published_outputs(name: str) -> None:
    checkpoint = random_checkpoint(shapes_of(name))
    network = NETWORKS[name].published(CLASSES).double().eval()
    network.load_state_dict(checkpoint, strict=True)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected = logits_of(name, checkpoint, images)
        torch.testing.assert_close(network(images), expected, rtol=1e-10, atol=1e-10)
    assert expected.std(dim=0).mean() > 1e-3  # the two images are told apart


@pytest.mark.parametrize("name", SMALL)
def test_features_are_what_the_published_classifier_reads(name: str) -> None:
    config = NETWORKS[name]
    whole, features = config.published(10), config.build((3, 32, 32))
    state = whole.state_dict()
    weight, bias = (key for key in state if key not in features.state_dict())
    features.load_state_dict({key: value for key, value in state.items() if key not in (weight, bias)}, strict=True)
    images = torch.rand(2, 3, 32, 32)
    features_BF = features.eval()(images)
    assert features_BF.shape == (2, config.feature_width((3, 32, 32)))
    torch.testing.assert_close(whole.eval()(images), linear(features_BF, state[weight], state[bias]))


@each_network
def test_parameters_and_flops_are_as_many_as_published(name: str) -> None:
    network = without_data(name)
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 32, 32, device="meta"))
    assert (sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops()) == COUNTS[name]


@pytest.mark.parametrize("name", ["resnet8x4", "wrn_16_2", "vgg8", "MobileNetV2"])
def test_convolutions_start_with_the_published_deviation(name: str) -> None:
    torch.manual_seed(0)
    convolutions = [module for module in NETWORKS[name].published(CLASSES).modules() if isinstance(module, nn.Conv2d)]
    for convolution in convolutions:
        weight = convolution.weight
        published = math.sqrt(2 / (convolution.out_channels * convolution.kernel_size[0] ** 2))
        assert weight.std().item() == pytest.approx(published, rel=4 / math.sqrt(2 * weight.numel()))
        assert convolution.bias is None or not convolution.bias.any()


@pytest.mark.parametrize("name", ["ShuffleV1", "ShuffleV2"])
def test_shuffle_networks_start_with_torchs_own_weights(name: str) -> None:
    torch.manual_seed(0)
    for module in NETWORKS[name].published(CLASSES).modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = math.prod(module.weight.shape[1:]) ** -0.5
            largest = module.weight.abs().max().item()
            assert bound * (1 - 20 / module.weight.numel()) < largest <= bound


@pytest.mark.parametrize(
    ("name", "weight", "bias"),
    [
        ("resnet8x4", 256**-0.5 / math.sqrt(3), 256**-0.5 / math.sqrt(3)),
        ("wrn_16_2", 128**-0.5 / math.sqrt(3), 0),
        ("vgg8", 0.01, 0),
        ("MobileNetV2", 0.01, 0),
    ],
)
def test_classifiers_start_with_the_published_deviation(name: str, weight: float, bias: float) -> None:
    torch.manual_seed(0)
    (classifier,) = (module for module in NETWORKS[name].published(CLASSES).modules() if isinstance(module, nn.Linear))
    assert classifier.weight.std().item() == pytest.approx(weight, rel=0.05)
    assert classifier.bias.std().item() == pytest.approx(bias, rel=0.3)
