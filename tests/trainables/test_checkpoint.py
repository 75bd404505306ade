"""What is on disk is whole, or it is not used."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from tests.trainables.trials import Killed, Listener, WatchedTask, small_trial, timeless, train
from trainables.outcomes import DamagedFile, TrialFailure
from trainables.storage import Storage
from trainables.tensor_files import read_tensors, write_tensors

Damage = Callable[[Path], None]


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def wrong_step(file: Path) -> None:
    """A record that is well-formed JSON and says something else."""
    content = file.read_bytes()
    changed = content.replace(b'"step": 8', b'"step": 6')
    assert changed != content
    file.write_bytes(changed)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def gone(file: Path) -> None:
    file.unlink()


def newest(folder: Path, suffix: str) -> Path:
    return max(folder.rglob(f"*.{suffix}"))


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        *((suffix, damage) for suffix in ("safetensors", "json") for damage in (torn, flipped, emptied, gone)),
        ("json", wrong_step),
    ],
)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(suffix: str, damage: Damage, tmp_path: Path) -> None:
    config = small_trial()
    with pytest.raises(Killed):
        train(config, tmp_path / "damaged", Listener(kill_at=1))
    damage(newest(tmp_path / "damaged", suffix))
    task, listener = WatchedTask(config.task.load()), Listener()
    outcome = train(config, tmp_path / "damaged", listener, task)
    assert [report.rung for report in listener.reports] == [0, 1, 2]
    assert len(task.batches) == 8  # from the first rung's checkpoint, after 4 of 12
    whole = train(config, tmp_path / "whole")
    assert outcome.weights_digest == whole.weights_digest
    assert timeless(outcome.metrics) == timeless(whole.metrics)


def test_without_any_whole_checkpoint_a_trial_fails_and_does_not_start_again(tmp_path: Path) -> None:
    config = small_trial()
    with pytest.raises(Killed):
        train(config, tmp_path, Listener(kill_at=1))
    for file in (tmp_path / config.digest()).glob("*.safetensors"):
        torn(file)
    task = WatchedTask(config.task.load())
    with pytest.raises(
        TrialFailure, match=r"none of the 2 in .* or delete the folder to train from the start"
    ) as error:
        train(config, tmp_path, task=task)
    assert error.value.kind == "bad_data"
    assert config.digest() in str(error.value)
    assert task.batches == []


def test_without_any_checkpoint_a_trial_starts(tmp_path: Path) -> None:
    """One that was killed while it wrote its first has tensors without a record."""
    config = small_trial()
    with pytest.raises(Killed):
        train(config, tmp_path, Listener(kill_at=0))
    newest(tmp_path / config.digest(), "json").unlink()
    task = WatchedTask(config.task.load())
    train(config, tmp_path, task=task)
    assert len(task.batches) == config.steps


def test_a_checkpoint_of_another_config_or_of_other_sizes_is_refused(tmp_path: Path) -> None:
    config, others = small_trial(), [small_trial(seed=4), small_trial(embedding=9)]
    for place, other in enumerate(others):
        folder = tmp_path / str(place)
        with pytest.raises(Killed):
            train(other, folder, Listener(kill_at=0))
        (folder / other.digest()).rename(folder / config.digest())
        with pytest.raises(DamagedFile, match=f"config {other.digest()}, not of {config.digest()}"):
            train(config, folder)
        record = newest(folder / config.digest(), "json")
        stored = json.loads(record.read_text())
        del stored["record"]["config"]  # as older versions left it
        write_tensors(Storage(str(record.parent)), record.stem, _tensors(record), stored["record"])
        if other.seed != config.seed:  # nothing else tells them apart
            train(config, folder)
            continue
        with pytest.raises(DamagedFile, match="is not a checkpoint of this trial"):
            train(config, folder)


def _tensors(record: Path) -> dict[str, Tensor]:
    return read_tensors(Storage(str(record.parent)), record.stem)[0]


def test_the_newest_two_are_kept_even_beside_those_of_another_config(tmp_path: Path) -> None:
    longer, config = small_trial(steps=24), small_trial()
    train(longer, tmp_path)
    task = WatchedTask(config.task.load())
    with pytest.raises(Killed):
        train(config, tmp_path, Listener(kill_at=1), task)
    assert len(task.batches) == 8  # it took nothing of the other's
    folder = tmp_path / config.digest()
    assert sorted(file.name for file in folder.glob("*.json")) == ["step-0000000004.json", "step-0000000008.json"]
    train(config, tmp_path)
    kept = [f"step-{step:010d}.{suffix}" for step in (8, 12) for suffix in ("json", "safetensors")]
    assert sorted(file.name for file in folder.iterdir()) == kept


def test_damage_is_told_with_the_file_and_what_to_do(tmp_path: Path) -> None:
    train(small_trial(), tmp_path)
    file = newest(tmp_path, "safetensors")
    flipped(file)
    with pytest.raises(DamagedFile, match="delete the pair") as error:
        read_tensors(Storage(str(file.parent)), file.stem)
    assert str(file) in str(error.value)
