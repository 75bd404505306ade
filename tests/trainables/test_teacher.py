"""The teacher: trained once, kept by what decides it, refused when damaged."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.models.convnet import ConvNet
from trainables.outcomes import DamagedFile
from trainables.storage import Storage
from trainables.tasks.digits import Digits
from trainables.tasks.distortions import Distortion
from trainables.teacher import Teacher, TeacherNetwork, load_teacher
from trainables.tensor_files import tensors_digest, write_tensors

TASK = Digits(copies=1)


def teacher(**changes: Any) -> Teacher:
    given: dict[str, Any] = {"model": ConvNet(width=2), "steps": 12, "batch_size": 32, "learning_rate": 3e-3, "seed": 0}
    return Teacher(**(given | changes))


def load(config: Teacher, folder: Path) -> TeacherNetwork:
    return load_teacher(config, TASK.load(), Storage(str(folder)))


def weights(network: TeacherNetwork) -> str:
    return tensors_digest(dict(network.state_dict()))


def test_is_trained_once_and_then_read(tmp_path: Path) -> None:
    trained = load(teacher(), tmp_path)
    name = teacher().digest(TASK.load())
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"{name}{end}" for end in (".json", ".lock", ".safetensors")
    ]
    written = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert weights(load(teacher(), tmp_path)) == weights(trained)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == written


def test_what_is_stored_is_what_is_used(tmp_path: Path) -> None:
    """Planted weights come back: nothing was trained over them."""
    trained = load(teacher(), tmp_path / "trained")
    planted = {name: torch.full_like(tensor, 0.5) for name, tensor in trained.state_dict().items()}
    write_tensors(Storage(str(tmp_path / "planted")), teacher().digest(TASK.load()), planted, {})
    assert weights(load(teacher(), tmp_path / "planted")) == tensors_digest(planted)


def test_two_who_train_it_get_the_same(tmp_path: Path) -> None:
    assert weights(load(teacher(), tmp_path / "a")) == weights(load(teacher(), tmp_path / "b"))


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
def test_a_damaged_one_is_refused(suffix: str, tmp_path: Path) -> None:
    load(teacher(), tmp_path)
    (file,) = tmp_path.glob(f"*.{suffix}")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DamagedFile, match="delete the pair") as error:
        load(teacher(), tmp_path)
    assert file.stem in str(error.value)


def test_another_config_or_other_data_make_another_teacher() -> None:
    task = TASK.load()
    changes: list[dict[str, Any]] = [
        {},
        {"steps": 13},
        {"batch_size": 33},
        {"learning_rate": 1e-3},
        {"seed": 1},
        {"model": ConvNet(width=3)},
    ]
    digests = {teacher(**change).digest(task) for change in changes}
    other_views = Digits(copies=1, augmentation=Distortion(pixels=0, degrees=0, noise=0.01))
    other_images = Digits(copies=2)
    digests |= {teacher().digest(other.load()) for other in (other_views, other_images)}
    assert len(digests) == len(changes) + 2


def test_is_frozen_standardised_and_knows_the_source_classes(tmp_path: Path) -> None:
    network = load(teacher(steps=150), tmp_path)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    source = TASK.load().source
    features, logits = network(source.images)
    # measured on augmented images, so only about 0 and 1 here
    assert features.mean(dim=0).abs().mean().item() < 0.5
    assert 0.5 < features.std(dim=0).mean().item() < 1.5
    assert (logits.argmax(dim=1) == source.label_N).float().mean().item() > 0.5
