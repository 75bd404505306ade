"""Tasks on ingested datasets: what is known before they are loaded, and that no sample is on two sides."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.sweeps.data.object_store import object_store
from tests.trainables.datasets.made import write_dataset
from tests.trainables.tasks.made import cifar_like, sentences, vectors
from trainables.config import TrialConfig
from trainables.datasets.integrity import default_cache
from trainables.evidence import ImageSplit
from trainables.memory.bank import Bank
from trainables.models.adapter import Adapter
from trainables.models.resnet import ResNet
from trainables.models.stored import StoredVectors
from trainables.models.transformer import Transformer
from trainables.models.weights import Weights
from trainables.negatives.label_aware import LabelAware
from trainables.negatives.uniform import Uniform
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.objectives.supcon import SupCon
from trainables.outcomes import DamagedFile
from trainables.storage import Storage
from trainables.tasks.cifar100 import Cifar100
from trainables.tasks.corruptions import CORRUPTIONS, corrupt
from trainables.tasks.embeddings import Embeddings
from trainables.tasks.images import Images
from trainables.tasks.stored import StoredTask
from trainables.tasks.text import Text
from trainables.teacher import Teacher, load_teacher

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> str:
    return cifar_like(tmp_path_factory.mktemp("cifar"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A dataset of each kind, of five classes."""
    folder, drawn = tmp_path_factory.mktemp("small"), np.random.default_rng(0)
    labels = np.arange(200) % 5
    images = (drawn.integers(0, 256, (200, 3, 8, 8), dtype=np.uint8), {"label": labels.tolist()})
    write_dataset(Storage(str(folder / "images")), "pixels", {"train": images, "validation": images, "test": images})
    texts = [f"sentence {number} of {'abcde'[number % 5] * 5}" for number in range(200)]
    rows = drawn.normal(size=(200, 6)).astype(np.float32)
    return {
        "images": str(folder / "images"),
        "text": sentences(folder / "text", texts, labels.tolist()),
        "embeddings": vectors(folder / "embeddings", rows, labels),
    }


def tasks(cifar: str, small: dict[str, str]) -> list[StoredTask]:
    return [
        Cifar100(data=cifar, labels_per_class=10),
        Cifar100(data=cifar, labels_per_class=10, held_out=(), validation=0.0, corruptions=()),
        Images(data=small["images"], held_out=(3, 1), transfer={"again": small["images"]}),
        Text(data=small["text"], held_out=(0, 4), labels_per_class=10, tokens=20),
        Embeddings(data=small["embeddings"], held_out=(1, 2), labels_per_class=10),
    ]


def every(split: ImageSplit) -> torch.Tensor:
    return split.images[torch.arange(len(split.label_N))]


def rows(split: ImageSplit) -> set[bytes]:
    return {row.numpy().tobytes() for row in every(split)}


def test_what_is_known_before_loading_is_what_is_loaded(cifar: str, small: dict[str, str]) -> None:
    for config in tasks(cifar, small):
        task = config.load()
        assert len(task.source.label_N) == config.source_samples
        assert task.source.label_N.unique().tolist() == list(range(config.classes))
        assert tuple(task.transfer_sets) == config.transfer_names
        assert len(next(iter(task.transfer_sets.values())).train.label_N) == config.target_samples
        assert task.views(torch.tensor([1, 0]), 0, 0).shape == (2, *config.inputs)
        assert config.load() is task
        assert type(config).model_validate(config.to_json()) == config


def test_no_sample_is_on_two_sides(cifar: str, small: dict[str, str]) -> None:
    for config in tasks(cifar, small):
        if not config.validation or "validation" in config.manifest.splits:
            continue  # what is called validation was seen, or the dataset repeats itself
        task = config.load()
        source = rows(task.source)
        assert len(source) == config.source_samples
        for name, transfer_set in task.transfer_sets.items():
            parts = [rows(getattr(transfer_set, split)) for split in SPLITS]
            assert sum(map(len, parts)) == len(set.union(*parts)), name
            assert source.isdisjoint(parts[1] | parts[2]), name
            assert (name == "transfer") == source.isdisjoint(parts[0]), name


def test_superclasses_are_held_out_whole_and_the_others_are_all_there(cifar: str) -> None:
    config = Cifar100(data=cifar, labels_per_class=10)
    task, held_out = config.load(), {fine for fine in range(100) if fine % 20 in config.held_out}
    transfer = task.transfer_sets["transfer"]
    assert all(set(getattr(transfer, split).label_N.tolist()) == held_out for split in SPLITS)
    assert np.bincount(transfer.train.label_N)[sorted(held_out)].tolist() == [10] * 20
    assert config.classes == 80
    assert len(task.transfer_sets["source"].test.label_N) == 80 * 4


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sentences without labels."""
    folder = tmp_path_factory.mktemp("plain")
    texts = [f"sentence {number}" for number in range(90)]
    write_dataset(Storage(str(folder)), "text", {"train": (texts, {}), "test": (texts[:9], {})})
    return str(folder)


def test_data_without_labels_are_distilled_and_measured_elsewhere(plain: str, small: dict[str, str]) -> None:
    config = Text(data=plain, transfer={"labelled": small["text"]}, labels_per_class=10)
    assert (config.transfer_names, config.known_names, config.classes) == (("labelled",), (), 1)
    assert (config.source_samples, config.target_samples) == (81, 50)
    task = config.load()
    assert len(task.source.label_N) == 81
    assert not task.source.label_N.any()
    labelled = Text(data=small["text"], transfer={"labelled": small["text"]}, labels_per_class=10).load()
    assert list(task.transfer_sets) == ["labelled"]
    for split in SPLITS:
        ours, theirs = (getattr(each.transfer_sets["labelled"], split) for each in (task, labelled))
        assert torch.equal(every(ours), every(theirs))
        assert torch.equal(ours.label_N, theirs.label_N)


def test_nothing_looks_at_labels_that_are_not_there(plain: str, small: dict[str, str]) -> None:
    task = Text(data=plain, transfer={"labelled": small["text"]}, labels_per_class=10)
    given: dict[str, Any] = {"task": task, "teacher": Teacher(model=Transformer(), steps=0), "student": Transformer()}
    misfits: list[tuple[dict[str, Any], str]] = [
        ({"task": Text(data=plain)}, "probes learn from labels, and these samples have none"),
        ({"task": Text(data=plain, label="label", transfer=task.transfer)}, "the dataset's labels are: (none)"),
        ({"task": Text(data=plain, held_out=(0, 1), transfer=task.transfer)}, "classes are held out by their labels"),
        ({"task": Text(data=small["text"], transfer={"plain": plain})}, "its samples must have labels"),
        ({"teacher": Teacher(model=Transformer())}, "a teacher is trained on labels"),
        ({"objective": SupCon()}, "supcon, as it is set, needs the classes of samples"),
        ({"objective": KD()}, "kd, as it is set, needs the classes of samples"),
        ({"negatives": LabelAware(count=16)}, "label_aware looks at labels"),
    ]
    for parts, told in misfits:
        assert told in misfit(**{**given, **parts}), told
    TrialConfig(**given, objective=InfoNCE(), memory=Bank(size=64), negatives=Uniform(count=16), batch_size=16)


def test_a_split_validation_of_the_dataset_is_used(small: dict[str, str]) -> None:
    task = Images(data=small["images"], held_out=(3, 1)).load()
    assert len(task.source.label_N) == 120
    assert {name: len(t.validation.label_N) for name, t in task.transfer_sets.items()} == {
        "transfer": 80,
        "corrupted": 120,
        "source": 120,
    }


def test_views_depend_on_seed_epoch_and_sample_alone(cifar: str, small: dict[str, str]) -> None:
    for config in tasks(cifar, small):
        task, sample_B = config.load(), torch.tensor([5, 80, 17, 33, 0])
        views = task.views(sample_B, 2, 9)
        assert torch.equal(task.views(sample_B.flip(0), 2, 9).flip(0), views)
        assert torch.equal(torch.cat([task.views(sample[None], 2, 9) for sample in sample_B]), views)
        others = [task.views(sample_B, 3, 9), task.views(sample_B, 2, 8)]
        assert all(torch.equal(views, other) for other in others) == isinstance(config, Embeddings)


def test_a_view_of_a_text_leaves_out_one_span(small: dict[str, str]) -> None:
    config = Text(data=small["text"], tokens=40, cutoff=0.5)
    plain = config.load().source.images[torch.tensor([3])]
    length = int((plain > 0).sum())
    assert bytes((plain[0, :length] - 1).tolist()).decode().startswith("sentence ")
    for drawn in np.random.default_rng(0).random((50, 2)):
        view = config.cut(plain, torch.tensor(drawn[None], dtype=torch.float32))[0]
        left = int((view > 0).sum())
        kept = view[:left].tolist()
        assert length / 2 - 1 < left <= length
        assert any(
            kept[:at] + plain[0, at : at + length - left].tolist() + kept[at:] == plain[0, :length].tolist()
            for at in range(left + 1)
        )


def test_corruptions_are_a_function_of_the_sample_and_grow(cifar: str) -> None:
    task = Cifar100(data=cifar, labels_per_class=10).load()
    clean, corrupted = (task.transfer_sets[name].test for name in ("source", "corrupted"))
    some = torch.tensor([7, 30, 8])
    assert torch.equal(corrupted.images[some], torch.cat([corrupted.images[one[None]] for one in some]))
    assert torch.equal(corrupted.label_N, clean.label_N)
    assert not any(torch.equal(a, b) for a, b in zip(clean.images[some], corrupted.images[some], strict=True))
    for kind in CORRUPTIONS:
        rough = np.random.default_rng(0).normal(size=(3, 32, 32)).cumsum(axis=1).cumsum(axis=2)
        image = (0.2 + 0.6 * (rough - rough.min()) / np.ptp(rough)).astype(np.float32)
        distances = [np.abs(corrupt(image, kind, level, 0) - image).mean() for level in (1, 3, 5)]
        assert 0 < distances[0] < distances[1] < distances[2], kind


def misfit(**parts: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        TrialConfig(
            **{
                "batch_size": 16,
                "objective": InfoNCE(),
                "memory": Bank(size=64),
                "negatives": Uniform(count=16),
                **parts,
            }
        )
    return str(refused.value)


def test_what_does_not_go_together_is_refused_before_anything_is_loaded(cifar: str, small: dict[str, str]) -> None:
    images = {"teacher": Teacher(model=ResNet(depth=8)), "student": ResNet(depth=8)}
    vectors_ = {"teacher": Teacher(model=StoredVectors()), "student": Adapter()}
    nobody = Weights(file="/none.pth", sha256="0" * 64)
    for parts, told in [
        ({"task": Images(data="/nowhere"), **images}, "there must be an ingested dataset; write where it is"),
        ({"task": Images(data=small["text"]), **images}, "must be a dataset of images, not of text"),
        ({"task": Images(data=small["images"], label="kind"), **images}, "labels are: label"),
        ({"task": Images(data=small["images"], held_out=(5, 1)), **images}, "different numbers of classes, 0 to 4"),
        ({"task": Images(data=small["images"], held_out=(1,)), **images}, "no side has a single class"),
        (
            {"task": Images(data=small["images"], held_out=(1, 2), labels_per_class=40), **images},
            "has no more than that",
        ),
        ({"task": Images(data=small["images"], transfer={"big": cifar}), **images}, "must have the shape"),
        ({"task": Images(data=small["images"], transfer={"source": cifar}), **images}, "a set of the task's own"),
        ({"task": Embeddings(data=small["embeddings"]), **images}, "a teacher maps vectors"),
        ({"task": Images(data=small["images"]), **vectors_}, "a teacher maps images"),
        (
            {"task": Images(data=small["images"]), **images, "student": Transformer()},
            "reads tokens, and the task gives",
        ),
        ({"task": Images(data=cifar), "teacher": Teacher(model=ResNet(weights=nobody))}, "cannot be read"),
        (
            {
                "task": Text(data=small["text"]),
                "teacher": Teacher(model=Transformer(vocabulary=99)),
                "student": Adapter(),
            },
            "must know every token",
        ),
    ]:
        assert told in misfit(**parts), told
    with pytest.raises(ValidationError, match="must be found from any working directory"):
        Images(data="datasets/mine")


def test_a_published_teacher_is_taken_as_it_is(cifar: str, tmp_path: Path) -> None:
    published: Any = ResNet(depth=8).published(100)
    torch.save({"model": published.state_dict()}, tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    weights = Weights(file=str(tmp_path / "w.pth"), sha256=digest)
    config = Teacher(model=ResNet(depth=8, weights=weights), steps=3)
    task = Cifar100(data=cifar, held_out=(), corruptions=()).load()
    network, images = load_teacher(config, task, Storage(str(tmp_path))), task.source.images[torch.arange(8)]
    torch.testing.assert_close(network(images)[1], published.eval()(images))
    features = network(task.source.images[torch.arange(2000)])[0]
    assert features.mean(dim=0).abs().mean() < 0.5  # standardised on views of them, which have black borders
    fewer = load_teacher(config, Cifar100(data=cifar, labels_per_class=10).load(), Storage(str(tmp_path)))
    assert fewer(images)[1].shape == (8, 80)  # a classifier of its own, on the same features
    assert torch.equal(fewer.backbone(images), network.backbone(images))


def test_a_dataset_in_an_object_store_is_the_same_task(
    small: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with object_store() as uri:
        there = Storage(uri)
        for file in Path(small["embeddings"]).rglob("*"):
            if file.is_file():
                there.write(str(file.relative_to(small["embeddings"])), file.read_bytes())
        far = Embeddings(data=uri, held_out=(1, 2), labels_per_class=10)
        near = Embeddings(data=small["embeddings"], held_out=(1, 2), labels_per_class=10)
        assert far.load().digest == near.load().digest
        assert torch.equal(every(far.load().source), every(near.load().source))
    assert default_cache().is_relative_to(tmp_path)


def test_the_digest_knows_how_samples_are_chosen_and_shown(small: dict[str, str]) -> None:
    given: dict[str, Any] = {"data": small["images"]}
    changes: list[dict[str, Any]] = [
        {},
        {"held_out": (1, 2)},
        {"labels_per_class": 11},
        {"severities": (2,)},
        {"transfer": {"x": small["images"]}},
    ]
    assert len({Images(**given, **change).load().digest for change in changes}) == len(changes)
    assert Images(**given, threads=0).load().digest == Images(**given).load().digest


def test_a_damaged_dataset_is_refused(tmp_path: Path) -> None:
    data = vectors(tmp_path, np.ones((60, 4), np.float32), np.arange(60) % 3)
    block = next((tmp_path / "train").iterdir())
    block.write_bytes(block.read_bytes()[:-9] + b"123456789")
    with pytest.raises(DamagedFile, match=block.name):
        Embeddings(data=data, labels_per_class=10).load()
