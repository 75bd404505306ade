"""Networks that turn images into features: students and teachers alike. The union is the family's table."""

from trainables.models.convnet import ConvNet

ModelConfig = ConvNet
