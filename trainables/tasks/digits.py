"""Handwritten digits of 8 x 8 pixels, bundled with scikit-learn (UCI, 1998): distil six classes, transfer to four."""

import functools
import hashlib
import math
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from trainables.evidence import ImageSplit, TaskMember, TransferSet
from trainables.randomness import numpy_stream, per_sample_uniforms
from trainables.tasks.distortions import Distortion

#: Epochs whose views are kept, 0.3 MB each: those of a trial, since the next one of a sweep mostly has the same seed.
_EPOCHS_KEPT = 64

_SPLIT_SEED = 0  # the splits are part of the task: no trial may draw its own


class Digits(TaskMember):
    """Distillation sees the images of classes 0 to 5; generalisation is measured on classes 6 to 9.

    Two transfer sets hold the same named splits of the same samples: ``transfer`` shows the held-out classes under
    `transfer_shift`, ``shift`` under the stronger `strong_shift`. Of these shifts distillation knows nothing: it
    sees `augmentation` alone. (A policy that asks for estimates is shown the probes' training images, unlabelled.)
    Probes learn from `labels_per_class` labelled, undistorted images of each held-out class; the other images are
    halved into validation and test, class by class, and each appears `copies` times under distortions of its own.
    """

    inputs: ClassVar[tuple[int, ...]] = (1, 8, 8)
    classes: ClassVar[int] = 6
    source_samples: ClassVar[int] = 1083
    readers: ClassVar[int] = 0  # threads that read ahead of the steps: what is kept in memory takes none
    transfer_names: ClassVar[tuple[str, ...]] = ("transfer", "shift")

    name: Literal["digits"] = "digits"
    labels_per_class: int = Field(20, ge=10, le=80)
    copies: int = Field(4, ge=1, le=20)
    augmentation: Distortion = Distortion(pixels=1.5, degrees=5)
    transfer_shift: Distortion = Distortion(pixels=2.0, degrees=10, noise=0.1)
    strong_shift: Distortion = Distortion(pixels=2.5, degrees=20, noise=0.2)

    @property
    def target_samples(self) -> int:
        """Images that probes learn from, as many of each of the four classes that distillation does not see."""
        return 4 * self.labels_per_class

    def load(self) -> "DigitsTask":
        """The images, split. Loaded once per process."""
        return _load(self)


class DigitsTask:
    """See `Digits`. `digest` is the SHA-256 of every image, label and split, in order."""

    def __init__(self, config: Digits) -> None:
        images, labels = _bundled()
        is_source = labels < config.classes
        self.config = config
        self.classes = config.classes
        source = torch.from_numpy(images[is_source])
        self.source = ImageSplit(source, torch.from_numpy(labels[is_source]))
        self.transfer_sets = _transfer_sets(config, images[~is_source], labels[~is_source])
        self.digest = self._digest()
        self._epoch = functools.lru_cache(maxsize=_EPOCHS_KEPT)(functools.partial(_Epoch, config, source))

    def views(self, sample_B: Tensor, epoch: int, seed: int) -> Tensor:
        """Augmented source images, a function of (seed, epoch, sample) alone."""
        return self._epoch(seed, epoch).views(sample_B)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        splits = [self.source]
        for transfer_set in self.transfer_sets.values():
            splits += [transfer_set.train, transfer_set.validation, transfer_set.test]
        for split in splits:
            digest.update(split.images[torch.arange(len(split.label_N))].numpy().tobytes())
            digest.update(split.label_N.numpy().tobytes())
        return digest.hexdigest()


@functools.lru_cache(maxsize=4)
def _load(config: Digits) -> DigitsTask:
    return DigitsTask(config)


class _Epoch:
    """The views of one epoch: each is made when it is first asked for, and kept."""

    def __init__(self, config: Digits, images: Tensor, seed: int, epoch: int) -> None:
        self.config, self.images, self.key = config, images, (seed, epoch)
        self.kept = torch.empty_like(images)
        self.made_N = torch.zeros(len(images), dtype=torch.bool)

    def views(self, sample_B: Tensor) -> Tensor:
        if not self.made_N[sample_B].all():
            uniforms = _augmentation_draws(self.config, *self.key)
            self.kept[sample_B] = self.config.augmentation.apply(self.images[sample_B], uniforms[sample_B])
            self.made_N[sample_B] = True
        return self.kept[sample_B]


@functools.lru_cache(maxsize=2)
def _augmentation_draws(config: Digits, seed: int, epoch: int) -> Tensor:
    draws = config.augmentation.draws(math.prod(config.inputs))
    return torch.from_numpy(per_sample_uniforms(seed, "augmentation", epoch, config.source_samples, draws))


def _bundled() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # takes over a second to import: only where digits are really needed

    digits = load_digits()
    return digits.images.astype(np.float32)[:, None] / 16, digits.target.astype(np.int64)


def _split(images: np.ndarray, labels: np.ndarray) -> ImageSplit:
    return ImageSplit(torch.from_numpy(images), torch.from_numpy(labels))


def _transfer_sets(config: Digits, images: np.ndarray, labels: np.ndarray) -> dict[str, TransferSet]:
    train, validation, test = _stratified(labels, config.labels_per_class)
    learned_from = _split(images[train], labels[train])  # one object: what is fitted on it serves both sets
    shifts = dict(zip(config.transfer_names, (config.transfer_shift, config.strong_shift), strict=True))
    return {
        name: TransferSet(
            train=learned_from,
            validation=_distorted(images[validation], labels[validation], config.copies, shift, f"{name}/validation"),
            test=_distorted(images[test], labels[test], config.copies, shift, f"{name}/test"),
        )
        for name, shift in shifts.items()
    }


def _stratified(labels: np.ndarray, labels_per_class: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of (train, validation, test): class by class, in an order that no trial can change."""
    order = numpy_stream(_SPLIT_SEED, "digits/splits").permutation(len(labels))
    train, validation, test = [], [], []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        held_out = members[labels_per_class:]
        train.append(members[:labels_per_class])
        validation.append(held_out[: len(held_out) // 2])
        test.append(held_out[len(held_out) // 2 :])
    return np.concatenate(train), np.concatenate(validation), np.concatenate(test)


def _distorted(images: np.ndarray, labels: np.ndarray, copies: int, shift: Distortion, purpose: str) -> ImageSplit:
    images, labels = np.repeat(images, copies, axis=0), np.repeat(labels, copies)
    uniforms = numpy_stream(_SPLIT_SEED, purpose).random((len(images), shift.draws(images[0].size)), dtype=np.float32)
    return ImageSplit(shift.apply(torch.from_numpy(images), uniforms), torch.from_numpy(labels))
