"""Networks that turn inputs into features: students and teachers alike. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.models.adapter import Adapter
from trainables.models.convnet import ConvNet
from trainables.models.encoder_decoder import EncoderDecoder
from trainables.models.function import Function
from trainables.models.mlp import MLP
from trainables.models.mobilenet import MobileNetV2
from trainables.models.resnet import ResNet
from trainables.models.resnet50 import ResNet50
from trainables.models.shufflenet_v1 import ShuffleNetV1
from trainables.models.shufflenet_v2 import ShuffleNetV2
from trainables.models.stored import StoredVectors
from trainables.models.timm import Timm
from trainables.models.transformer import Transformer
from trainables.models.vgg import VGG
from trainables.models.vit import ViT
from trainables.models.wide_resnet import WideResNet

ModelConfig = Annotated[
    Adapter
    | ConvNet
    | EncoderDecoder
    | Function
    | MLP
    | MobileNetV2
    | ResNet
    | ResNet50
    | ShuffleNetV1
    | ShuffleNetV2
    | StoredVectors
    | Timm
    | Transformer
    | VGG
    | ViT
    | WideResNet,
    Field(discriminator="name"),
]
