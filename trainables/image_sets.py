"""Images by name: what a frozen teacher is asked about, and what a student is shown and measured on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from trainables.config import TrialConfig
from trainables.evidence import Task
from trainables.randomness import stream_seed

#: Enumerated views are those of this seed, and no trial's own: they are the same for all.
VIEWS_SEED = stream_seed(0, "views")
#: A view of the source that no trial is shown in training, and the same for all.
EVALUATION_SEED = stream_seed(0, "evaluation")

SPLITS = ("train", "validation", "test")

#: Source samples that probes are shown, at most: all of them, or as many at even distances.
_SOURCE_SHOWN = 10_000


@dataclass(frozen=True)
class ImageSet:
    """Images of N samples with their labels. Within a task, sets of one name hold the same images.

    `images` gives those of the samples of these numbers: (B,) to (B, channels, height, width).
    """

    name: str
    label_N: Tensor
    images: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.label_N)


@dataclass(frozen=True)
class EvaluationSets:
    """What every trial of a task is measured on: the source as it is and under one view, and splits to transfer to.

    Of a large source both are a part, the same for all.

    Splits of two transfer sets that are one object are one set here.
    """

    source: ImageSet
    source_view: ImageSet
    transfer: Mapping[str, Mapping[str, ImageSet]]

    def distinct(self) -> list[ImageSet]:
        """Each set once."""
        splits = [image_set for splits in self.transfer.values() for image_set in splits.values()]
        return list({image_set.name: image_set for image_set in (self.source, self.source_view, *splits)}.values())


def plain(task: Task) -> ImageSet:
    """The source images as they are."""
    return ImageSet("source", task.source.label_N, task.source.images.__getitem__)


def view(task: Task, epoch: int, seed: int) -> ImageSet:
    """The source images under one augmentation each."""
    return ImageSet(f"view.{seed}.{epoch}", task.source.label_N, partial(task.views, epoch=epoch, seed=seed))


def evaluation_sets(task: Task) -> EvaluationSets:
    """The same for every trial of every sweep on this task."""
    known: dict[int, ImageSet] = {}
    transfer: dict[str, dict[str, ImageSet]] = {name: {} for name in task.transfer_sets}
    for name, transfer_set in task.transfer_sets.items():
        for split in SPLITS:
            shown = getattr(transfer_set, split)
            image_set = ImageSet(f"{name}.{split}", shown.label_N, shown.images.__getitem__)
            transfer[name][split] = known.setdefault(id(shown), image_set)
    return EvaluationSets(_part(plain(task)), _part(view(task, 0, EVALUATION_SEED)), transfer)


def _part(image_set: ImageSet) -> ImageSet:
    """The set, or samples at even distances."""
    samples = len(image_set)
    if samples <= _SOURCE_SHOWN:
        return image_set
    chosen = torch.arange(_SOURCE_SHOWN) * samples // _SOURCE_SHOWN
    images = image_set.images
    return ImageSet(f"{image_set.name}.part", image_set.label_N[chosen], lambda sample_B: images(chosen[sample_B]))


def shown_in(config: TrialConfig, task: Task, epoch: int) -> tuple[ImageSet, ImageSet]:
    """What a trial is shown in an epoch, and the second view of the same samples, for objectives that read one.

    A student of frozen features is shown the images as they are: it makes its own views, of the features.
    """
    if config.student.reads == "features":
        return plain(task), plain(task)
    if config.views is None:
        return view(task, epoch, config.seed), view(task, epoch, stream_seed(config.seed, "second view"))
    first, second = enumerated_views(epoch, config.views, config.seed)
    return view(task, first, VIEWS_SEED), view(task, second, VIEWS_SEED)


def enumerated_views(epoch: int, views: int, seed: int) -> tuple[int, int]:
    """The numbers of the views of an epoch: all in turn, from one that the seed chooses, and another one.

    The second is another one each time that the first comes round, until all pairs have been shown.
    """
    turn = epoch + stream_seed(seed, "first view")
    others = max(1, views - 1)
    return turn % views, (turn + 1 + epoch // views % others) % views


def training_sets(config: TrialConfig, task: Task) -> list[ImageSet]:
    """Everything that a trial is shown in training, for trials of which this can be enumerated."""
    if config.student.reads == "features":
        return [plain(task)]
    return [view(task, number, VIEWS_SEED) for number in range(config.views or 0)]


def every_sample(image_set: ImageSet) -> Tensor:
    """The numbers of all its samples, (N,)."""
    return torch.arange(len(image_set))
