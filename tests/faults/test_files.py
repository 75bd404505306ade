"""Every kind of file that a trial writes and reads back, cut and flipped at random: noticed, or read as it was. The
ledger has tests of its own.
"""

import hashlib
import json
import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.lengths import count, length
from tests.trainables.stepping import Stepped
from tests.trainables.trials import checkpoints_in, small_trial, teacher_of
from trainables import teacher_cache, tensor_files
from trainables.checkpoint import Progress
from trainables.image_sets import view
from trainables.outcomes import DamagedFile, NewerFile, TrialFailure
from trainables.storage import Storage
from trainables.teacher import load_teacher
from trainables.teacher_cache import TeacherCache
from trainables.tensor_files import tensors_digest

CUTS, FLIPS = length(20, 200), length(40, 400)
CONFIG = small_trial()
TASK = CONFIG.task.load()
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Written:
    """A file pair, and how the product reads it: a digest of all that it says."""

    files: dict[str, Path]  # by what their names end in
    read: Callable[[], str]


def checkpoint(folder: Path) -> Written:
    trained, checkpoints = Stepped(CONFIG).run(range(3)), checkpoints_in(folder, CONFIG)
    checkpoints.save(trained.training, trained.optimizer, trained.meter, Progress(3, 0.1, 2.0))

    def read() -> str:
        fresh = Stepped(CONFIG)
        progress = checkpoints.restore(fresh.training, fresh.optimizer, fresh.meter)
        return f"{progress} {tensors_digest(fresh.state())} {fresh.meter.metrics()}"

    return Written(_pair(folder / CONFIG.digest()), read)


def teacher(folder: Path) -> Written:
    load_teacher(CONFIG.teacher, TASK, Storage(str(folder)))
    return Written(
        _pair(folder),
        lambda: tensors_digest(dict(load_teacher(CONFIG.teacher, TASK, Storage(str(folder))).state_dict())),
    )


def teacher_outputs(folder: Path) -> Written:
    shown = view(TASK, 0, 1)
    TeacherCache(teacher_of(CONFIG.teacher, CONFIG.task), Storage(str(folder))).all_rows(shown)
    name = f"{shown.name}.000000"
    return Written(_pair(folder), lambda: tensors_digest(vars(teacher_cache._read(Storage(str(folder)), name))))


def _pair(folder: Path) -> dict[str, Path]:
    return {file.suffix.strip("."): file for file in folder.iterdir() if file.suffix != ".lock"}


KINDS = {
    checkpoint: ("safetensors", "json"),
    teacher: ("safetensors", "json"),
    teacher_outputs: ("arrow", "sha256"),
}
EACH = [(kind, suffix) for kind, suffixes in KINDS.items() for suffix in suffixes]


def damages(content: bytes, seed: str) -> Iterator[tuple[str, bytes]]:
    chance = random.Random(seed)
    for _ in range(CUTS):
        yield "cut", content[: chance.randrange(len(content))]
    for _ in range(FLIPS):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield "flip", bytes(flipped)


def found(written: Written, suffix: str) -> Counter[str]:
    """How often what was done to one file was noticed, read as it had been, or read as something else."""
    file, expected = written.files[suffix], written.read()
    whole, outcomes = file.read_bytes(), Counter[str]()
    for done, content in damages(whole, suffix):
        file.write_bytes(content)
        try:
            outcome = "harmless" if written.read() == expected else "wrong"
        except (DamagedFile, NewerFile) as error:
            outcome = "noticed" if str(file.with_suffix("")) in str(error) else "noticed without its name"
        outcomes[f"{done} {outcome}"] += 1
    file.write_bytes(whole)
    assert written.read() == expected
    return outcomes


@pytest.mark.parametrize(("kind", "suffix"), EACH, ids=lambda each: getattr(each, "__name__", each))
def test_no_cut_and_no_flip_is_read_as_something_else(kind: Any, suffix: str, tmp_path: Path) -> None:
    outcomes = found(kind(tmp_path), suffix)
    assert sum(outcomes.values()) == CUTS + FLIPS
    assert not outcomes["cut wrong"] + outcomes["flip wrong"]
    assert outcomes["cut noticed"] == CUTS
    assert outcomes["flip noticed"] >= 0.9 * FLIPS, "the others flipped what says nothing, as the case of an exponent"
    count(f"P7 {kind.__name__} .{suffix}", **outcomes)


@pytest.mark.parametrize(("kind", "suffix"), [(kind, suffixes[0]) for kind, suffixes in KINDS.items()])
def test_without_digests_flips_are_read_as_something_else(
    kind: Any, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power of the test above."""
    monkeypatch.setattr(tensor_files, "_pair_digest", lambda *_: "")
    if kind is teacher_outputs:
        blind = SimpleNamespace(sha256=lambda _: hashlib.sha256(b""))
        monkeypatch.setattr(teacher_cache, "hashlib", blind)
    assert found(kind(tmp_path), suffix)["flip wrong"] > FLIPS / 10


class Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", [checkpoint, teacher])
def test_pickled_code_in_the_place_of_tensors_is_refused_and_not_run(kind: Any, tmp_path: Path) -> None:
    """Even where the digest is right, as whoever can write the one file can write the other."""
    written, mark = kind(tmp_path / "files"), tmp_path / "executed"
    payload = pickle.dumps({"weights": Planted(mark)})
    stored = json.loads(written.files["json"].read_text())
    stored["sha256"] = tensor_files._pair_digest(payload, stored["record"])
    written.files["json"].write_text(json.dumps(stored))
    written.files["safetensors"].write_bytes(payload)
    with pytest.raises(DamagedFile, match="holds no tensors"):
        written.read()
    assert not mark.exists()
    pickle.loads(payload)
    assert mark.exists(), "the payload would have worked"


def test_pickled_code_in_the_place_of_a_table_is_refused_and_not_run(tmp_path: Path) -> None:
    written, mark = teacher_outputs(tmp_path / "files"), tmp_path / "executed"
    payload = pickle.dumps(Planted(mark))
    written.files["arrow"].write_bytes(payload)
    written.files["sha256"].write_text(hashlib.sha256(payload).hexdigest())
    with pytest.raises(DamagedFile, match="holds no outputs of a teacher"):
        written.read()
    assert not mark.exists()


@pytest.mark.parametrize("kind", [checkpoint, teacher])
def test_a_file_of_a_newer_version_is_refused(kind: Any, tmp_path: Path) -> None:
    written = kind(tmp_path)
    text = written.files["json"].read_text()
    newer = text.replace('"format": 1', '"format": 2')
    assert newer != text
    written.files["json"].write_text(newer)
    with pytest.raises(NewerFile, match=r"reads files up to format 1, and .*\.json has format 2\. Use the version"):
        written.read()


@pytest.mark.parametrize("error", [DamagedFile("torn"), NewerFile("a.json", 2, 1), TrialFailure("nan", "it is")])
def test_failures_survive_their_way_through_ray(error: TrialFailure) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.kind, str(copy)) == (type(error), error.kind, str(error))
