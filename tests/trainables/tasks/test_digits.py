"""Digits: what is distilled, what is held out, and that no image is on two sides."""

from itertools import chain

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tests.trainables.trials import Listener, WatchedTask, images_of, small_trial, timeless, train
from trainables.evidence import ImageSplit, Task, TransferSet
from trainables.tasks.digits import Digits, DigitsTask
from trainables.tasks.distortions import Distortion

SPLITS = ("train", "validation", "test")
NONE = Distortion(pixels=0, degrees=0, noise=0)


def originals() -> tuple[torch.Tensor, np.ndarray]:
    bundled = load_digits()
    return torch.tensor(bundled.images, dtype=torch.float32).unsqueeze(1) / 16, bundled.target


def undistorted(copies: int = 1) -> DigitsTask:
    return Digits(copies=copies, transfer_shift=NONE, strong_shift=NONE).load()


def indices(split: ImageSplit) -> list[int]:
    """Which bundled images these are; exact, since no two of them are equal."""
    images, _ = originals()
    distances = torch.cdist(images_of(split).flatten(1), images.flatten(1))
    assert distances.min(dim=1).values.max().item() < 1e-3
    return distances.argmin(dim=1).tolist()


def all_splits(transfer_set: TransferSet) -> dict[str, ImageSplit]:
    return {name: getattr(transfer_set, name) for name in SPLITS}


def test_distillation_sees_every_image_of_six_classes() -> None:
    task = Digits().load()
    images, labels = originals()
    assert len(images_of(task.source)) == Digits.source_samples == 1083
    assert task.classes == len(set(task.source.label_N.tolist())) == 6
    assert torch.equal(images_of(task.source), images[labels < 6])
    assert task.source.label_N.tolist() == labels[labels < 6].tolist()
    assert images_of(task.source).shape[1:] == Digits.inputs


def test_splits_share_no_image_and_hold_all_of_the_other_classes() -> None:
    _, labels = originals()
    found: dict[str, list[list[int]]] = {}
    for name, transfer_set in undistorted().transfer_sets.items():
        found[name] = [indices(split) for split in all_splits(transfer_set).values()]
        together = list(chain.from_iterable(found[name]))
        assert len(set(together)) == len(together)
        assert sorted(together) == np.flatnonzero(labels >= 6).tolist()
    assert tuple(found) == Digits.transfer_names
    assert found["transfer"] == found["shift"]  # the same images, under two distortions


@pytest.mark.parametrize("labels_per_class", [10, 35])
def test_splits_are_stratified(labels_per_class: int) -> None:
    task = Digits(labels_per_class=labels_per_class, copies=3).load()
    for transfer_set in task.transfer_sets.values():
        counts = {name: np.bincount(split.label_N)[6:] for name, split in all_splits(transfer_set).items()}
        assert counts["train"].tolist() == [labels_per_class] * 4
        assert np.abs(counts["validation"] - counts["test"]).max() <= 3  # one image, three times
        assert np.unique(transfer_set.validation.label_N).tolist() == [6, 7, 8, 9]


def test_copies_are_of_one_image_each_under_a_distortion_of_its_own() -> None:
    plain = undistorted(copies=3).transfer_sets["transfer"].validation
    assert sorted(np.bincount(indices(plain))[np.unique(indices(plain))].tolist())[0] == 3
    shifted = Digits(copies=3).load().transfer_sets["transfer"].validation
    assert plain.label_N.tolist() == shifted.label_N.tolist()
    images = images_of(shifted)
    assert len(torch.unique(images.flatten(1), dim=0)) == len(images)


def test_images_are_what_they_were_whatever_the_trial(tmp_path_factory: pytest.TempPathFactory) -> None:
    before = {name: [images_of(split).clone() for split in all_splits(t).values()] for name, t in _transfer().items()}
    for seed in range(2):
        config = small_trial(seed=seed, steps=2, rungs=1)
        train(config, tmp_path_factory.mktemp("trial"))
        assert config.task.load().digest == small_trial().task.load().digest
    for name, transfer_set in _transfer().items():
        for old, split in zip(before[name], all_splits(transfer_set).values(), strict=True):
            assert torch.equal(old, images_of(split))
            assert images_of(split).min() >= 0
            assert images_of(split).max() <= 1


def _transfer() -> dict[str, TransferSet]:
    return small_trial().task.load().transfer_sets


def test_the_digest_knows_every_image_and_split() -> None:
    digests = {
        config.load().digest
        for config in (
            Digits(),
            Digits(labels_per_class=33),
            Digits(copies=7),
            Digits(transfer_shift=NONE),
            Digits(strong_shift=NONE),
        )
    }
    assert len(digests) == 5
    assert DigitsTask(Digits()).digest == Digits().load().digest in digests


@pytest.mark.parametrize("order", ["reversed", "alone", "repeated"])
def test_views_depend_on_seed_epoch_and_sample_alone(order: str) -> None:
    sample_B = torch.tensor([5, 900, 17, 333, 1082, 0, 71])
    expected = DigitsTask(Digits()).views(sample_B, epoch=2, seed=9)
    task = DigitsTask(Digits())  # which keeps no view yet
    found = {
        "reversed": lambda: task.views(sample_B.flip(0), 2, 9).flip(0),
        "alone": lambda: torch.cat([task.views(sample.unsqueeze(0), 2, 9) for sample in sample_B]),
        "repeated": lambda: task.views(sample_B.repeat(40), 2, 9)[-7:],
    }[order]()
    assert torch.equal(found, expected)


def test_views_are_the_same_when_some_or_all_of_them_were_made_before() -> None:
    sample_B = torch.tensor([5, 900, 17, 333, 1082, 0, 71])
    expected = DigitsTask(Digits()).views(sample_B, epoch=2, seed=9)
    task = DigitsTask(Digits())
    task.views(sample_B[:3], 2, 9).zero_()  # whoever takes a view may write on it
    for _ in range(2):
        assert torch.equal(task.views(sample_B, 2, 9), expected)
    for epoch in range(3, 90):  # more than are kept
        task.views(sample_B[:1], epoch, 9)
    assert torch.equal(task.views(sample_B, 2, 9), expected)


def test_views_differ_by_seed_epoch_and_sample_and_are_images() -> None:
    task = Digits().load()
    sample_B = torch.arange(50)
    views = [task.views(sample_B, epoch, seed) for epoch, seed in ((0, 0), (1, 0), (0, 1))]
    for one in views:
        assert one.min() >= 0
        assert one.max() <= 1
        assert len(torch.unique(one.flatten(1), dim=0)) == 50
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (views[i] != views[j]).flatten(1).any(dim=1).all()


class WithOtherTest(WatchedTask):
    """The task with nothing but noise on its test splits."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.transfer_sets = {
            name: TransferSet(t.train, t.validation, ImageSplit(torch.rand_like(images_of(t.test)), t.test.label_N))
            for name, t in task.transfer_sets.items()
        }


def test_nothing_but_test_metrics_looks_at_the_test_split(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = small_trial()
    outcomes, reports = [], []
    for task in (WatchedTask(config.task.load()), WithOtherTest(config.task.load())):
        listener = Listener()
        outcomes.append(train(config, tmp_path_factory.mktemp("trial"), listener, task))
        reports.append([report.metrics["transfer/knn_top1"] for report in listener.reports])
    assert reports[0] == reports[1]
    assert outcomes[0].weights_digest == outcomes[1].weights_digest
    differing = {name for name, value in timeless(outcomes[0].metrics).items() if outcomes[1].metrics[name] != value}
    assert {name.split("/")[0] for name in differing} == {"test"}


def test_no_distortion_changes_nothing_and_each_kind_does_what_it_says() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[0, 0, 3, 2] = 1
    most = torch.full((1, NONE.draws(64)), 1 - 2**-24)  # every draw at its upper end
    torch.testing.assert_close(NONE.apply(images, most), images, rtol=0, atol=1e-5)
    moved = Distortion(pixels=2, degrees=0, noise=0).apply(images, most)
    assert (moved[0, 0] > 0.9).nonzero().tolist() == [[1, 0]]
    turned = Distortion(pixels=0, degrees=180, noise=0).apply(images, most)
    assert (turned[0, 0] > 0.9).nonzero().tolist() == [[4, 5]]
    noisy = Distortion(pixels=0, degrees=0, noise=0.25).apply(images, most)
    torch.testing.assert_close(noisy, (images + 0.25).clamp(0, 1), rtol=0, atol=1e-5)
