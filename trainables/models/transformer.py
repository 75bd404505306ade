"""Text encoders of Hugging Face transformers, from a local folder or from sizes. Needs the extra ``transformers``."""

import functools
import importlib.util
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from trainables.base import Misfit
from trainables.location import Location, expanded
from trainables.models.attention import refuse_heads
from trainables.models.weights import Weights
from trainables.network import ModelMember

_EXPANSION = 4  # of the hidden layer in each block


class Transformer(ModelMember):
    """A transformer encoder on tokens; the feature is the mean of its last layer over the text.

    With `folder`, of the kind and the sizes that the ``config.json`` there says; else BERT (Devlin et al. 2019, arXiv
    1810.04805) of these sizes, with random weights. `weights` is mostly the folder's ``model.safetensors``. Nothing is
    downloaded, and no code of the folder is run.

    Departures: no dropout; no pooling layer.
    """

    reads: ClassVar[Literal["images", "tokens", "vectors", "features"]] = "tokens"
    smallest_image: ClassVar[int] = 0

    name: Literal["transformer"] = "transformer"
    folder: Location | None = None
    weights: Weights | None = None
    vocabulary: int = Field(256, ge=2, le=10_000_000)
    width: int = Field(64, ge=4, le=16_384)
    depth: int = Field(2, ge=1, le=128)
    heads: int = Field(4, ge=1, le=1_024)
    positions: int = Field(512, ge=2, le=1_000_000)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        refuse_heads(self.width, self.heads)
        return self

    @property
    def trained(self) -> bool:
        """Whether there are `weights`."""
        return self.weights is not None

    def misfits(self) -> Iterator[Misfit]:
        """Whether the library or the folder is not there, and those of the `weights`."""
        if importlib.util.find_spec("transformers") is None:
            rule = "the library transformers must be there"
            yield "name", self.name, rule, "pip install '.[transformers]'"
            return
        try:
            _config(self)
        except (OSError, ValueError) as error:
            told = str(error).partition("\n")[0]
            rule = f"there must be a config.json of a known kind in this folder, but: {told}"
            yield "folder", self.folder, rule, "write where the model is"
        if self.weights:
            yield from self.weights.misfits()

    @property
    def origin(self) -> str:
        """The version of transformers, and what the folder says."""
        import transformers

        return f"transformers {transformers.__version__} {_config(self).to_json_string()}"

    @property
    def vocabulary_read(self) -> int:
        """As `vocabulary` says, or the folder."""
        return int(_config(self).vocab_size) if self.folder else self.vocabulary

    def feature_width(self, inputs: tuple[int, ...]) -> int:  # noqa: ARG002 (a mean over the text)
        """F, the width of its layers."""
        return int(_config(self).hidden_size) if self.folder else self.width

    def build(self, inputs: tuple[int, ...]) -> nn.Module:  # noqa: ARG002 (texts of any length up to `positions`)
        """The network on tokens (B, L), int64. Raises ModuleNotFoundError without the extra."""
        from transformers import AutoModel

        # plain products: fused kernels are not counted on every device, and some sum in an order that varies
        make: Any = AutoModel.from_config
        encoder = make(_config(self), attn_implementation="eager")
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        if self.weights:
            prefix = f"{encoder.base_model_prefix}."
            tensors = {name.removeprefix(prefix): tensor for name, tensor in self.weights.read().items()}
            self.weights.load_into(encoder, tensors)
        return _Encoder(encoder)


class _Encoder(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        inside_BL = tokens > 0  # the task counts tokens from 1, the library from 0
        states = self.encoder(input_ids=(tokens - 1).clamp_min(0), attention_mask=inside_BL.long()).last_hidden_state
        weight_BL1 = inside_BL.unsqueeze(2).to(states.dtype)
        features: Tensor = (states * weight_BL1).sum(dim=1) / weight_BL1.sum(dim=1).clamp_min(1)
        return features


@functools.lru_cache(maxsize=64)
def _config(model: Transformer) -> Any:
    from transformers import AutoConfig, BertConfig  # takes seconds to import

    if model.folder:
        config = AutoConfig.from_pretrained(expanded(model.folder), local_files_only=True)
    else:
        config = BertConfig(
            vocab_size=model.vocabulary,
            hidden_size=model.width,
            num_hidden_layers=model.depth,
            num_attention_heads=model.heads,
            intermediate_size=_EXPANSION * model.width,
            max_position_embeddings=model.positions,
        )
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    return config
