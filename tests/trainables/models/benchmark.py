"""The networks of the CRD benchmark by their published names."""

from trainables.models.cifar import CifarModel
from trainables.models.mobilenet import MobileNetV2
from trainables.models.resnet import ResNet
from trainables.models.resnet50 import ResNet50
from trainables.models.shufflenet_v1 import ShuffleNetV1
from trainables.models.shufflenet_v2 import ShuffleNetV2
from trainables.models.vgg import VGG
from trainables.models.wide_resnet import WideResNet

NETWORKS: dict[str, CifarModel] = {
    **{f"resnet{depth}": ResNet(depth=depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{depth}x4": ResNet(depth=depth, width=4) for depth in (8, 32)},
    **{f"wrn_{depth}_{width}": WideResNet(depth=depth, width=width) for depth in (16, 40) for width in (1, 2)},
    **{f"vgg{depth}": VGG(depth=depth) for depth in (8, 11, 13, 16, 19)},
    "MobileNetV2": MobileNetV2(),
    "ShuffleV1": ShuffleNetV1(),
    "ShuffleV2": ShuffleNetV2(),
    "ResNet50": ResNet50(),
}

#: One small network of each architecture.
SMALL = ("resnet8", "resnet8x4", "wrn_16_1", "wrn_16_2", "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2")
