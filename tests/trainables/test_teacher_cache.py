"""A teacher's outputs are worked out once, and nobody can tell whether they were read or made."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from tests.trainables.group import Trained, train_in_group
from tests.trainables.trials import Killed, Listener, images_of, small_trial, teacher_of, timeless, train
from trainables import teacher_cache
from trainables.config import TrialConfig
from trainables.evidence import Task
from trainables.image_sets import ImageSet, evaluation_sets, shown_in, training_sets, view
from trainables.loop import TEACHER_OUTPUTS, TEACHERS, prepare_trials, run_trial
from trainables.models.adapter import Adapter
from trainables.models.convnet import ConvNet
from trainables.models.mlp import MLP
from trainables.negatives.retrieval import Retrieval
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.policies.mi_guided import MIGuided
from trainables.storage import Storage
from trainables.teacher import BLOCK, Teacher, TeacherNetwork, ask
from trainables.teacher_cache import TeacherCache, cache_folder
from trainables.world import SingleWorld

TASK = small_trial().task.load()
SMALL_PART = 100  # the 1083 source images are 11 parts
PARTS = 11
#: A network of which torch makes other bits in small batches than in large ones.
SENSITIVE = Teacher(model=MLP(width=128, depth=2), steps=12, batch_size=32)

TRIALS = {
    "views": small_trial(views=3, teacher=SENSITIVE),
    "logits": small_trial(views=2, objective=KD(), teacher=SENSITIVE),
    "two views": small_trial(views=3, objective=InfoNCE(positive="view")),
    "batch below a block": small_trial(views=1, batch_size=5, teacher=SENSITIVE),
    "batch above a block": small_trial(views=2, batch_size=150, teacher=SENSITIVE),  # twelve steps: two epochs
    "guided": small_trial(views=2, negatives=Retrieval(count=12), policy=MIGuided(every=3)),
    "features": small_trial(student=Adapter(hidden=8), objective=InfoNCE(positive="view"), teacher=SENSITIVE),
}


def cached(config: TrialConfig) -> TrialConfig:
    return TrialConfig.model_validate(config.to_json() | {"teacher_cache": True})


def of_results(metrics: dict[str, float]) -> dict[str, float]:
    """All but what the trial cost."""
    return {name: value for name, value in timeless(metrics).items() if not name.startswith("compute/")}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_cache, "_PART_ROWS", SMALL_PART)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_is_the_same_to_the_last_bit_with_and_without(name: str, tmp_path: Path) -> None:
    listeners = Listener(), Listener()
    without = train(TRIALS[name], tmp_path / "without", listeners[0])
    with_cache = train(cached(TRIALS[name]), tmp_path / "with", listeners[1])
    assert with_cache.weights_digest == without.weights_digest
    assert of_results(with_cache.metrics) == of_results(without.metrics)
    for ours, theirs in zip(*(listener.reports for listener in listeners), strict=True):
        assert of_results(ours.metrics) == of_results(theirs.metrics)


def test_two_workers_are_the_same_to_the_last_bit_with_and_without(tmp_path: Path) -> None:
    config = small_trial(views=2, batch_size=10, teacher=SENSITIVE, workers=2)
    ranks: list[list[Any]] = train_in_group([config, cached(config)], 2, tmp_path)
    for rank in ranks:
        without, with_cache = (trained for trained in rank if isinstance(trained, Trained))
        assert with_cache.outcome.weights_digest == without.outcome.weights_digest
        assert of_results(with_cache.outcome.metrics) == of_results(without.outcome.metrics)


@pytest.mark.parametrize("model", [ConvNet(width=3), MLP(width=64, depth=2)], ids=lambda model: model.name)
def test_what_is_asked_with_an_image_is_all_the_same(model: Any) -> None:
    torch.manual_seed(0)
    network = TeacherNetwork(Teacher(model=model), (1, 8, 8), 6).requires_grad_(False).eval()
    images = images_of(TASK.source)
    expected = ask(network, images)
    torch.testing.assert_close(expected.features, network(images)[0])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    for batch in (1, 2, 7, BLOCK - 1, BLOCK, BLOCK + 1, 500):
        for part_B in order[:1000].split(batch)[:20]:
            found = ask(network, images[part_B])
            assert torch.equal(found.features, expected.features[part_B])
            assert torch.equal(found.logits, expected.logits[part_B])


class Counted:
    """A set of images that notes which samples it was asked for."""

    def __init__(self, image_set: ImageSet) -> None:
        self.asked: Counter[int] = Counter()
        self.plain = image_set
        self.set = replace(image_set, images=self.images)

    def images(self, sample_B: Tensor) -> Tensor:
        self.asked.update(sample_B.tolist())
        return self.plain.images(sample_B)


CONFIG = small_trial()
NETWORK = teacher_of(CONFIG.teacher, CONFIG.task)


def cache_in(folder: Path) -> TeacherCache:
    return TeacherCache(NETWORK, Storage(str(folder)))


def assert_holds(cache: TeacherCache, image_set: ImageSet) -> None:
    expected = ask(NETWORK, image_set.images(torch.arange(len(image_set))))
    found = cache.all_rows(image_set)
    assert torch.equal(found.features, expected.features)
    assert torch.equal(found.logits, expected.logits)


def ignored(done: int, of: int) -> None:
    pass


@pytest.mark.usefixtures("small_parts")
def test_rows_come_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    image_set = view(TASK, 0, 1)
    cache = cache_in(tmp_path)
    for sample_B in (torch.tensor([1082, 0, 1082, 555, 99, 100]), torch.randperm(1083), torch.tensor([7])):
        expected = ask(NETWORK, image_set.images(sample_B))
        found = cache.rows(image_set, sample_B)
        assert torch.equal(found.features, expected.features)
        assert torch.equal(found.logits, expected.logits)


@pytest.mark.usefixtures("small_parts")
def test_a_killed_fill_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    sets = [Counted(view(TASK, number, 1)) for number in range(2)]

    def killed(done: int, _: int) -> None:
        if done == 15:
            raise Killed

    with pytest.raises(Killed):
        cache_in(tmp_path).fill([counted.set for counted in sets], 0, 1, killed)
    assert 0 < sum(sets[1].asked.values()) < 1083
    told: list[tuple[int, int]] = []
    cache_in(tmp_path).fill([counted.set for counted in sets], 0, 1, lambda *done: told.append(done))
    assert told == [(done, 2 * PARTS) for done in range(1, 2 * PARTS + 1)]
    for counted in sets:
        assert counted.asked == dict.fromkeys(range(1083), 1)
        assert_holds(cache_in(tmp_path), counted.plain)


@pytest.mark.usefixtures("small_parts")
def test_a_share_that_is_alone_does_the_others_too(tmp_path: Path) -> None:
    counted = Counted(view(TASK, 0, 1))
    cache_in(tmp_path).fill([counted.set], 2, 3, ignored)
    assert list(counted.asked)[: 3 * SMALL_PART] == [*range(200, 300), *range(500, 600), *range(800, 900)]  # its own
    assert counted.asked == dict.fromkeys(range(1083), 1)


@pytest.mark.usefixtures("small_parts")
def test_two_that_fill_at_once_share_the_work(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=60)
    sets = [Counted(view(TASK, 0, 1)) for _ in range(2)]

    def meet(done: int, _: int) -> None:  # after their first parts both are at work
        if done == 1:
            meeting.wait()

    def fill(share: int) -> None:
        cache_in(tmp_path).fill([sets[share].set], share, 2, meet)

    threads = [threading.Thread(target=fill, args=(share,)) for share in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not meeting.broken
    done = [set(counted.asked) for counted in sets]
    assert min(done[0]) == 0
    assert min(done[1]) == SMALL_PART
    assert done[0] | done[1] == set(range(1083))
    assert sum(map(len, done)) < 1.5 * 1083
    assert_holds(cache_in(tmp_path), sets[0].plain)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda part, _: _flip(part),
        lambda part, _: part.write_bytes(part.read_bytes()[:-9]),
        lambda part, _: part.write_bytes(b""),
        lambda part, _: part.unlink(),
        lambda _, digest: digest.unlink(),
        lambda _, digest: digest.write_bytes(b"\xff\x00"),
    ],
    ids=["flipped", "torn", "empty", "lost", "no digest", "no text"],
)
@pytest.mark.usefixtures("small_parts")
def test_a_damaged_part_is_made_again_and_no_other(damage: Any, tmp_path: Path) -> None:
    counted = Counted(view(TASK, 0, 1))
    cache_in(tmp_path).fill([counted.set], 0, 1, ignored)
    part = tmp_path / f"{counted.set.name}.000004.arrow"
    whole = part.read_bytes()
    damage(part, part.with_suffix(".sha256"))
    counted.asked.clear()
    assert_holds(cache_in(tmp_path), counted.plain)
    assert part.read_bytes() == whole
    cache_in(tmp_path).all_rows(counted.set)
    assert not counted.asked


def test_a_part_that_is_written_again_leaves_what_is_mapped_as_it_was(tmp_path: Path) -> None:
    first = cache_in(tmp_path)
    before = first.all_rows(view(TASK, 0, 1))
    expected = before.features.clone()
    (tmp_path / f"{view(TASK, 0, 1).name}.000000.sha256").unlink()
    cache_in(tmp_path).all_rows(view(TASK, 0, 1))
    assert torch.equal(before.features, expected)


def folder_of(teacher: Teacher, task: Task, weights: int = 0) -> str:
    """The folder of an untrained network of this teacher; of one number always the same one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights)
        network = TeacherNetwork(teacher, tuple(images_of(task.source).shape[1:]), task.classes)
    return cache_folder(teacher, task, network)


def test_the_folder_is_that_of_teacher_data_weights_and_threads() -> None:
    folders = {folder_of(CONFIG.teacher, TASK), folder_of(SENSITIVE, TASK), folder_of(CONFIG.teacher, TASK, weights=1)}
    folders.add(folder_of(CONFIG.teacher, small_trial(task={"name": "digits", "copies": 2}).task.load()))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        folders.add(folder_of(CONFIG.teacher, TASK))
    finally:
        torch.set_num_threads(threads)
    assert len(folders) == 5


@pytest.mark.parametrize("views", [1, 2, 5])
def test_enumerated_views_are_the_same_for_every_seed_and_all_are_shown(views: int) -> None:
    trials = [small_trial(views=views, seed=seed) for seed in range(6)]
    everything = {image_set.name for image_set in training_sets(trials[0], TASK)}
    firsts, sample_B, shown = set(), torch.arange(5), dict[str, Tensor]()
    for trial in trials:
        names = [shown_in(trial, TASK, epoch)[0].name for epoch in range(2 * views)]
        assert set(names) == everything
        assert names[:views] == names[views:]
        firsts.add(names[0])
        for epoch in range(views):
            (image_set, _) = shown_in(trial, TASK, epoch)
            images = image_set.images(sample_B)
            assert torch.equal(shown.setdefault(image_set.name, images), images)
    assert len(everything) == views
    assert (len(firsts) > 1) == (views > 1)


def test_a_second_view_is_another_one_and_all_pairs_come_up() -> None:
    config = small_trial(views=4, objective=InfoNCE(positive="view"))
    pairs = {tuple(image_set.name for image_set in shown_in(config, TASK, epoch)) for epoch in range(12)}
    assert len(pairs) == 12
    assert all(first != second for first, second in pairs)


def test_without_enumeration_every_epoch_and_seed_has_views_of_its_own() -> None:
    names = [
        image_set.name
        for seed in (0, 1)
        for epoch in (0, 1)
        for image_set in shown_in(small_trial(seed=seed), TASK, epoch)
    ]
    assert len(set(names)) == len(names) == 8
    assert not training_sets(small_trial(), TASK)


def _prepare(share: int, config: dict[str, Any], workspace: str, threads: int) -> None:
    torch.set_num_threads(threads)
    prepare_trials(config, workspace, share, 2, ignored)


def test_two_processes_prepare_what_trials_then_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, storage = cached(small_trial(views=2, seed=8)), tmp_path / "storage"
    plain = config.to_json()
    told = (plain, str(storage / "one"), torch.get_num_threads())
    spawn(_prepare, told, nprocs=2)
    assert len(list((storage / TEACHERS).glob("*.safetensors"))) == 1
    (folder,) = (storage / TEACHER_OUTPUTS).iterdir()
    sets = evaluation_sets(config.task.load()).distinct() + training_sets(config, TASK)
    assert len({file.stem for file in folder.glob("*.arrow")}) == len(sets) == 9

    def refused(_: TeacherNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError(f"the teacher was run on {len(images)} images")

    monkeypatch.setattr(TeacherNetwork, "forward", refused)
    place: dict[str, Any] = {"workspace": str(storage / "two"), "report": Listener(), "world": SingleWorld()}
    assert run_trial(plain, trial=0, **place).state == "complete"  # of another sweep
    with pytest.raises(AssertionError, match="the teacher was run"):
        run_trial(plain | {"seed": 9, "teacher_cache": False}, trial=1, **place)
