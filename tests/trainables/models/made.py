"""Networks of a user's own, for `models.function`."""

from torch import nn

WIDTH = 6


def encoder(inputs: tuple[int, ...]) -> nn.Module:
    channels = inputs[0]
    return nn.Sequential(nn.Conv2d(channels, WIDTH, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def no_network(inputs: tuple[int, ...]) -> tuple[int, ...]:
    return inputs
