"""Several workers train what one would: they share a batch, not a statistic. And what they send each other for it."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.group import Steps, Trained, sent_and_written, take_steps, train_in_group, train_whole
from tests.trainables.trials import all_combinations, combination_id, each_member_once, small_trial, timeless
from trainables.communication import step_sent_bytes
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
from trainables.metrics import COMMUNICATED_BYTES
from trainables.models.resnet import ResNet
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.policies.mi_guided import MIGuided

STEPS = 6
#: Every objective x memory, and every sampler with one of them.
STEPPED = {
    combination_id(config): config
    for config in [*each_member_once(), *all_combinations()]
    if config in each_member_once() or isinstance(config.negatives, Uniform)
}
#: What two workers say for every combination, four say for every member.
MEMBERS = {combination_id(config) for config in each_member_once()}
MODES = {
    "crd-learned": small_trial(objective=CRD(normaliser="learned"), memory=Bank(size=900)),
    "crd-relax": small_trial(objective=CRD(positive="relax"), memory=Bank(size=900)),
    "infonce-views": small_trial(objective=InfoNCE(positive="view")),
}
STEPPED |= MODES
CASES = [(name, size) for size in (2, 4) for name in STEPPED if size == 2 or name in MEMBERS | MODES.keys()]
#: Whole trials, with rungs and checkpoints.
WHOLE = {
    "crd-bank": small_trial(objective=CRD(temperature=0.2), memory=Bank(size=900, momentum=0.5), rungs=12),
    "kd": small_trial(objective=KD(temperature=4.0), rungs=12),
    "guided": small_trial(policy=MIGuided(every=3), rungs=12),
}
#: Each worker normalises its own share: not what one worker would do, but the same for both.
SHARED = {"batch_norm": small_trial(student=ResNet(depth=8), steps=4, rungs=2)}


def shared_by(workers: int, configs: Iterable[TrialConfig]) -> list[TrialConfig]:
    return [config.model_copy(update={"workers": workers}) for config in configs]


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], list[Any]]:
    """The steps of each case, by its workers; one group of each size takes all of its cases."""
    found: dict[tuple[str, int], list[Any]] = {}
    for size in (2, 4):
        names = [name for name, workers in CASES if workers == size]
        configs = shared_by(size, [STEPPED[name] for name in names])
        ranks = train_in_group(configs, size, tmp_path_factory.mktemp("stepped"), STEPS)
        found |= {(name, size): [rank[number] for rank in ranks] for number, name in enumerate(names)}
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str, Steps]:
    return {name: take_steps(config, STEPS) for name, config in STEPPED.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    ranks = train_in_group(shared_by(2, (WHOLE | SHARED).values()), 2, tmp_path_factory.mktemp("whole"))
    return {name: [rank[number] for rank in ranks] for number, name in enumerate(WHOLE | SHARED)}


def scale(key: str, tensors: dict[str, torch.Tensor]) -> float:
    """The norm of a tensor; of a momentum at least 1 % of that of all: what cancels has the rounding of the others."""
    own = float(tensors[key].nan_to_num().norm())
    momenta = [float(tensor.norm()) for name, tensor in tensors.items() if name.startswith("optimizer/")]
    return max(own, math.hypot(*momenta) / 100) if key.startswith("optimizer/") else own


def assert_same_tensors(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        if tensor.is_floating_point():
            here, there = tensor.nan_to_num().double(), found[key].nan_to_num().double()
            assert (here - there).norm() <= 1e-5 * scale(key, expected) + 1e-7, key
        else:
            assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize(("name", "size"), CASES)
def test_several_workers_have_the_losses_gradients_and_memory_of_one(
    name: str, size: int, stepped: dict[tuple[str, int], list[Steps]], alone: dict[str, Steps]
) -> None:
    one, (first, *others) = alone[name], stepped[name, size]
    assert first.losses == pytest.approx(one.losses, rel=1e-5)
    assert_same_tensors(first.gradients, one.gradients)
    assert_same_tensors(first.state, one.state)
    for other in others:
        assert other.losses == first.losses
        assert all(torch.equal(first.state[key], tensor) or tensor.isnan().any() for key, tensor in other.state.items())


@pytest.mark.parametrize(("name", "size"), CASES)
def test_a_step_sends_the_bytes_of_the_formula(
    name: str, size: int, stepped: dict[tuple[str, int], list[Steps]]
) -> None:
    (config,) = shared_by(size, [STEPPED[name]])
    for rank in stepped[name, size]:
        assert rank.sent_bytes[1:] == pytest.approx([step_sent_bytes(config)] * (STEPS - 1), rel=1e-12)
        first = rank.sent_bytes[0] - step_sent_bytes(config)  # crd sets its normalisers, and sum has one
        assert first == pytest.approx((size - 1) * 16 if config.objective.name in ("crd", "sum") else 0)
    assert planned_metrics(config)[COMMUNICATED_BYTES] == config.steps * step_sent_bytes(config)
    assert planned_metrics(STEPPED[name])[COMMUNICATED_BYTES] == 0


def test_the_count_is_what_goes_over_the_wire(tmp_path: Path) -> None:
    for sent, written, sent_to_gather, written_to_gather in sent_and_written(3, tmp_path, 250_000):
        assert (sent, sent_to_gather) == pytest.approx((2 * 1e6 * 2 / 3, 2e6), rel=1e-12)
        assert sent <= written <= 1.01 * sent
        assert sent_to_gather <= written_to_gather <= 1.01 * sent_to_gather


def test_negatives_and_batch_do_not_depend_on_the_number_of_workers() -> None:
    shapes = [config.shapes() for workers in (1, 2, 4) for config in shared_by(workers, [small_trial()])]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("name", WHOLE)
def test_two_workers_are_as_good_as_one(name: str, whole: dict[str, list[Trained]], tmp_path: Path) -> None:
    one, two = train_whole(WHOLE[name], tmp_path), whole[name][0]
    for ours, theirs in zip(two.reports, one.reports, strict=True):  # every step is a rung: the whole curve
        assert timeless(ours.metrics) == pytest.approx(timeless(theirs.metrics), rel=1e-5)
    assert timeless(two.outcome.metrics) == pytest.approx(timeless(one.outcome.metrics), rel=1e-4, abs=1e-6)
    assert_same_tensors(two.state, one.state)


@pytest.mark.parametrize("name", WHOLE | SHARED)
def test_both_workers_have_the_same(name: str, whole: dict[str, list[Trained]]) -> None:
    first, second = whole[name]
    assert first.outcome.weights_digest == second.outcome.weights_digest
    assert timeless(first.outcome.metrics) == timeless(second.outcome.metrics)
    assert [timeless(report.metrics) for report in first.reports] == [
        timeless(report.metrics) for report in second.reports
    ]
