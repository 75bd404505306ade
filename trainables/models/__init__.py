"""Networks that turn images into features: students and teachers alike. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.models.adapter import Adapter
from trainables.models.convnet import ConvNet
from trainables.models.encoder_decoder import EncoderDecoder
from trainables.models.mlp import MLP
from trainables.models.mobilenet import MobileNetV2
from trainables.models.resnet import ResNet
from trainables.models.resnet50 import ResNet50
from trainables.models.shufflenet_v1 import ShuffleNetV1
from trainables.models.shufflenet_v2 import ShuffleNetV2
from trainables.models.vgg import VGG
from trainables.models.vit import ViT
from trainables.models.wide_resnet import WideResNet

ModelConfig = Annotated[
    Adapter
    | ConvNet
    | EncoderDecoder
    | MLP
    | MobileNetV2
    | ResNet
    | ResNet50
    | ShuffleNetV1
    | ShuffleNetV2
    | VGG
    | ViT
    | WideResNet,
    Field(discriminator="name"),
]
