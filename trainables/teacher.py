"""The frozen teacher: trained once on the labels of the source, or trained elsewhere and given as a file of weights.

It is kept by the digest of all that decides it.
"""

import hashlib
import inspect
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from trainables.base import Config
from trainables.evidence import Task
from trainables.models import ModelConfig
from trainables.models.convnet import ConvNet
from trainables.outcomes import DamagedFile
from trainables.placement import sent
from trainables.randomness import stream_seed, torch_stream
from trainables.storage import Storage
from trainables.tensor_files import read_tensors, write_tensors

#: Rows that a frozen teacher is asked about at a time on a CPU, whose kernels add up in another order for few rows.
BLOCK = 64

#: Values of images that a network is shown at a time, about, when it is asked about a whole set.
_SHOWN_AT_ONCE = 2**24
#: Source samples that features are standardised on, at most.
_STANDARDISED_ON = 2048
#: Views of the source that the digest looks at, which tell how the task augments.
_LOOKED_AT = 64


class Teacher(Config):
    """A network trained by cross-entropy (AdamW) on `steps` batches of augmented source images with their labels.

    It sees the labels of the source classes; what it learned of sameness is what students get.

    A `model` whose weights come from elsewhere stays as it is. Its own classifier is used where it has as many classes
    as the source; else one is trained on its frozen features, which objectives that read no logits never look at
    (`steps: 0` then leaves it as it was drawn).
    """

    model: ModelConfig = ConvNet(width=16)
    steps: int = Field(800, ge=0)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(3e-3, gt=0)
    seed: int = Field(0, ge=0)

    def digest(self, task: Task) -> str:
        """SHA-256 of all that decides the weights: this config, the data, how it is augmented, and the code."""
        kinds = [kind for kind in type(self.model).__mro__ if kind.__module__.startswith("trainables.models.")]
        code = "".join(inspect.getsource(sys.modules[kind.__module__]) for kind in kinds)
        code += "".join(inspect.getsource(part) for part in (TeacherNetwork, _train, _fit))
        # the data's digest knows the images alone: tasks that differ in augmentation need teachers of their own
        looked_at = torch.arange(min(_LOOKED_AT, len(task.source.label_N)))
        views = task.views(looked_at, epoch=0, seed=self.seed)
        record = {
            "config": self.to_json(),
            "data": task.digest,
            "views": hashlib.sha256(views.numpy().tobytes()).hexdigest(),
            "code": code + self.model.origin,
            "torch": torch.__version__,
        }
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


class TeacherNetwork(nn.Module):
    """Standardised features and class logits of images.

    Features are shifted and scaled to mean 0 and deviation 1 over the source images: the raw ones share a large common
    part, which leaves every pair similar and a contrast with next to no gradient.
    """

    mean_F: Tensor
    deviation_F: Tensor

    def __init__(self, config: Teacher, inputs: tuple[int, ...], classes: int) -> None:
        super().__init__()
        width = config.model.feature_width(inputs)
        self.backbone = config.model.build(inputs)
        self.classifier = nn.Linear(width, classes)
        given = config.model.classifier()
        self.is_whole = bool(given) and len(given["bias"]) == classes  # then nothing is left to train
        if self.is_whole:
            self.classifier.load_state_dict(given)
        self.register_buffer("mean_F", torch.zeros(width))
        self.register_buffer("deviation_F", torch.ones(width))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(features (B, F), logits (B, C))."""
        features = self.backbone(images)
        return (features - self.mean_F) / self.deviation_F, self.classifier(features)

    @torch.no_grad()
    def standardise(self, images: Tensor) -> None:
        """Measure mean and deviation of the features on these images."""
        features = torch.cat([self.backbone(part) for part in torch.split(images, rows_at_once(images.shape[1:]))])
        self.mean_F.copy_(features.mean(dim=0))
        self.deviation_F.copy_(features.std(dim=0).clamp_min(1e-3))  # a feature that never fires stays silent


@dataclass(frozen=True)
class TeacherOutputs:
    """What a frozen teacher makes of B images: standardised features (B, F) and class logits (B, C)."""

    features: Tensor
    logits: Tensor

    def on(self, device: torch.device) -> "TeacherOutputs":
        """The same on a device."""
        return TeacherOutputs(sent(self.features, device), sent(self.logits, device))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """The rows of all parts, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(torch.cat([part.features for part in parts]), torch.cat([part.logits for part in parts]))

    def rows(self, row_B: Tensor) -> "TeacherOutputs":
        """Those of these rows."""
        return TeacherOutputs(self.features[row_B], self.logits[row_B])


@dataclass(frozen=True)
class Shown:
    """Images, and what the frozen teacher makes of them."""

    images: Tensor
    teacher: TeacherOutputs

    def on(self, device: torch.device) -> "Shown":
        """The same on a device."""
        return Shown(sent(self.images, device), self.teacher.on(device))


def rows_at_once(inputs: Sequence[int]) -> int:
    """Samples of this shape that a network is shown at a time: many small images, few large ones."""
    return max(BLOCK, _SHOWN_AT_ONCE // math.prod(inputs))


@torch.no_grad()
def ask(network: TeacherNetwork, images: Tensor) -> TeacherOutputs:
    """What the frozen teacher makes of images: the one way in which it is asked.

    On a CPU in blocks of a fixed size, the last one padded, so that no output depends on which others are asked for
    with it: it has the same bits in a batch of any size, on any number of workers, and when it is read from a cache. A
    GPU promises no bits, and is asked for all at once. The outputs are where the network is.
    """
    device = network.mean_F.device
    if device.type != "cpu":
        parts = torch.split(images, rows_at_once(images.shape[1:]))
        return TeacherOutputs.joined([TeacherOutputs(*network(sent(part, device))) for part in parts])
    outputs = []
    for block in torch.split(images, BLOCK):
        missing = BLOCK - len(block)
        features, logits = network(pad(block, [0, 0] * (block.dim() - 1) + [0, missing]) if missing else block)
        outputs.append(TeacherOutputs(features[: len(block)], logits[: len(block)]))
    return TeacherOutputs.joined(outputs)


def load_teacher(config: Teacher, task: Task, cache: Storage) -> TeacherNetwork:
    """The frozen teacher, in evaluation mode; trained and stored by the first who asks.

    Who asks meanwhile waits for it; where storage knows no locks, two train the same weights and write the same file.
    Raises `DamagedFile` if the stored one, or the file of its weights, is not what was written, and `NewerFile` if a
    newer version wrote it.
    """
    name = config.digest(task)
    network = _untrained(config, task)
    with cache.alone(name):
        try:
            tensors, _ = read_tensors(cache, name)
            network.load_state_dict(tensors)
        except RuntimeError as error:  # what torch says of other names and shapes
            raise DamagedFile(
                f"{cache.uri}/{name}.safetensors is not this teacher: {error}; delete the pair"
            ) from error
        except FileNotFoundError:
            _train(network, config, task)
            write_tensors(cache, name, dict(network.state_dict()), {"teacher": config.to_json(), "data": task.digest})
    return network.requires_grad_(False).eval()


def _untrained(config: Teacher, task: Task) -> TeacherNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "teacher/weights"))
        first = task.source.images[torch.zeros(1, dtype=torch.int64)]
        return TeacherNetwork(config, tuple(first.shape[1:]), task.classes)


def _train(network: TeacherNetwork, config: Teacher, task: Task) -> None:
    samples = len(task.source.label_N)
    if not network.is_whole:
        _fit(network, config, task, samples)
    network.eval()  # features are standardised as students will see them
    chosen = torch.linspace(0, samples - 1, min(samples, _STANDARDISED_ON)).round().long()
    network.standardise(task.views(chosen, epoch=config.steps, seed=config.seed))


def _fit(network: TeacherNetwork, config: Teacher, task: Task, samples: int) -> None:
    """Train all of it, or, of a network that was trained elsewhere, the classifier alone."""
    network.backbone.requires_grad_(not config.model.trained).train(not config.model.trained)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for step in range(config.steps):
        generator = torch_stream(config.seed, "teacher/batch", step)
        sample_B = torch.randint(samples, (config.batch_size,), generator=generator)
        _, logits = network(task.views(sample_B, epoch=step, seed=config.seed))
        optimizer.zero_grad()
        loss = cross_entropy(logits, task.source.label_N[sample_B])
        loss.backward()
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()  # a frozen network has no use for its last gradients
