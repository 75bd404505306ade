"""A transformer on patches of an image."""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.attention import refuse_heads
from trainables.network import ModelMember

_EXPANSION = 4  # of the hidden layer in each block


class ViT(ModelMember):
    """A vision transformer; the defaults are ViT-small, with patches for small images.

    Dosovitskiy et al. 2021 (arXiv 2010.11929, section 3.1): patches, a class token, learned positions, `depth` blocks
    with normalisation before attention and before the MLP; the feature is the normalised class token. Sizes of
    ViT-small: Touvron et al. 2021 (arXiv 2012.12877, table 1). Positions are learned for one size of image.

    Departures: linear layers start as torch starts them; `dropout` follows the embedding and both parts of a block.
    """

    name: Literal["vit"] = "vit"
    width: int = Field(384, ge=4, le=16_384)
    depth: int = Field(12, ge=1, le=128)
    heads: int = Field(6, ge=1, le=1_024)
    patch: int = Field(4, ge=1, le=256)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        refuse_heads(self.width, self.heads)
        return self

    @property
    def stochastic(self) -> bool:
        """Whether it drops anything."""
        return self.dropout > 0

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (the same for images of any size)
        """F, the width of the class token."""
        return self.width

    def build(self, inputs: tuple[int, ...]) -> "_ViT":
        """The network on images of this size; raises `ValueError` if patches do not divide it."""
        channels, *sides = inputs
        if any(side % self.patch for side in sides):
            raise ValueError(
                f"patch, {self.patch}, must divide the sides of the image, {sides}; change it to a divisor"
            )
        patches = sides[0] // self.patch * (sides[1] // self.patch)
        return _ViT(self, channels, patches)


class _ViT(nn.Module):
    def __init__(self, config: ViT, channels: int, patches: int) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(channels, config.width, config.patch, stride=config.patch)
        self.class_token = nn.Parameter(torch.empty(config.width))
        self.positions = nn.Parameter(torch.empty(1 + patches, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.Sequential(*(_Block(config) for _ in range(config.depth)))
        self.normalisation = nn.LayerNorm(config.width)
        for parameter in (self.class_token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.embedding(2 * images - 1).flatten(2).mT
        class_token = self.class_token.expand(len(images), 1, -1)
        tokens = self.dropout(torch.cat([class_token, patches], dim=1) + self.positions)
        features: Tensor = self.normalisation(self.blocks(tokens)[:, 0])
        return features


class _Block(nn.Module):
    def __init__(self, config: ViT) -> None:
        super().__init__()
        width, hidden = config.width, _EXPANSION * config.width
        self.attention = nn.Sequential(nn.LayerNorm(width), _Attention(config), nn.Dropout(config.dropout))
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, width),
            nn.Dropout(config.dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(tokens)
        mixed: Tensor = tokens + self.mlp(tokens)
        return mixed


class _Attention(nn.Module):
    def __init__(self, config: ViT) -> None:
        super().__init__()
        self.heads = config.heads
        self.queries_keys_values = nn.Linear(config.width, 3 * config.width)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        split = self.queries_keys_values(tokens).unflatten(-1, (3, self.heads, -1))  # (B, tokens, 3, heads, head)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        # Plain products: fused kernels are not counted on every device, and some sum in an order that varies.
        with sdpa_kernel(SDPBackend.MATH):
            mixed = scaled_dot_product_attention(queries, keys, values)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output
