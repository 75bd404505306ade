"""Weights from files: what they hold is what the network has, and what is not the file meant is refused."""

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from tests.trainables.models.benchmark import NETWORKS
from trainables.models.resnet import ResNet
from trainables.models.standardised import Standardised
from trainables.models.transformer import Transformer
from trainables.models.weights import Weights
from trainables.outcomes import DamagedFile


def weights_in(file: Path) -> Weights:
    return Weights(file=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def saved(file: Path, content: Any) -> Weights:
    torch.save(content, file)
    return weights_in(file)


@pytest.mark.parametrize("name", ["resnet8x4", "wrn_16_2", "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2", "ResNet50"])
def test_a_published_checkpoint_is_split_into_network_and_classifier(name: str, tmp_path: Path) -> None:
    published: Any = NETWORKS[name].published(100).eval()
    beside = {"epoch": 240, "accuracy": torch.tensor(79.4), "opt": argparse.Namespace(model=name, trial=0)}
    weights = saved(tmp_path / "ckpt.pth", {"model": published.state_dict(), **beside})
    config = NETWORKS[name].model_copy(update={"weights": weights})
    images = torch.rand(3, 3, 32, 32)
    features = config.build((3, 32, 32)).eval()(images)
    torch.testing.assert_close(nn.functional.linear(features, **config.classifier()), published(images))


def test_images_are_standardised_before_a_network_that_wants_it() -> None:
    torch.manual_seed(0)
    standardised = ResNet(depth=8, standardise="cifar100").build((3, 32, 32)).eval()
    images = torch.rand(2, 3, 32, 32)
    mean, deviation = torch.tensor([0.5071, 0.4867, 0.4408]), torch.tensor([0.2675, 0.2565, 0.2761])
    by_hand = (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    assert isinstance(standardised, Standardised)
    torch.testing.assert_close(standardised(images), standardised.network(by_hand))


class Runs:
    """What a file would run that is read without care."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.witness),)


def refused(weights: Weights, match: str) -> None:
    with pytest.raises(DamagedFile, match=match):
        ResNet(depth=8, weights=weights).build((3, 32, 32))


def test_what_is_not_the_file_meant_is_refused(tmp_path: Path) -> None:
    state = ResNet(depth=8).published(100).state_dict()
    weights = saved(tmp_path / "w.pth", state)
    refused(weights.model_copy(update={"sha256": "0" * 64}), f"has SHA-256 {weights.sha256}, the config says 0000")
    refused(Weights(file=str(tmp_path / "none.pth"), sha256="0" * 64), "cannot be read")
    refused(saved(tmp_path / "small.pth", {"conv1.weight": torch.ones(1)}), "another network: it has no")
    wide = {name: tensor.repeat_interleave(2, dim=0) if tensor.dim() else tensor for name, tensor in state.items()}
    refused(saved(tmp_path / "wide.pth", wide), "another network: ")
    refused(saved(tmp_path / "list.pth", [1, 2]), "holds no state dict")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:3000])
    refused(weights_in(tmp_path / "torn.pth"), "or is torn")
    (tmp_path / "torn.safetensors").write_bytes(b"no tensors")
    refused(weights_in(tmp_path / "torn.safetensors"), "holds no tensors")


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    refused(saved(tmp_path / "evil.pth", {"model": Runs(witness)}), "something else than tensors")
    assert not witness.exists()


def test_a_transformer_from_a_folder_is_the_librarys_own(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 50, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    original = BertModel(BertConfig(**sizes, intermediate_size=24)).eval()
    original.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    model = Transformer(folder=str(tmp_path), weights=weights_in(tmp_path / "model.safetensors"))
    assert (model.vocabulary_read, model.feature_width((9,))) == (50, 12)
    ids = torch.randint(0, 50, (4, 9))
    length_B1 = torch.tensor([[9], [4], [1], [7]])
    inside = torch.arange(9) < length_B1
    states = original(input_ids=ids, attention_mask=inside.long()).last_hidden_state
    expected = torch.stack([state[: int(length)].mean(dim=0) for state, length in zip(states, length_B1, strict=True)])
    network = model.build((9,)).train()  # there is no dropout left
    torch.testing.assert_close(network((ids + 1) * inside), expected)
    prefixed = {f"bert.{name}": tensor for name, tensor in original.state_dict().items()}
    safetensors.torch.save_file(prefixed, tmp_path / "prefixed.safetensors")
    again = model.model_copy(update={"weights": weights_in(tmp_path / "prefixed.safetensors")}).build((9,))
    torch.testing.assert_close(again((ids + 1) * inside), expected)
