"""Two workers train what one would: they share a batch, not a statistic."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.group import Steps, Trained, take_steps, train_in_group, train_whole
from tests.trainables.trials import all_combinations, combination_id, each_member_once, small_trial, timeless
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
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
} | {
    "crd-learned": small_trial(objective=CRD(normaliser="learned"), memory=Bank(size=900)),
    "crd-relax": small_trial(objective=CRD(positive="relax"), memory=Bank(size=900)),
    "infonce-views": small_trial(objective=InfoNCE(positive="view")),
}
#: Whole trials, with rungs and checkpoints.
WHOLE = {
    "crd-bank": small_trial(objective=CRD(temperature=0.2), memory=Bank(size=900, momentum=0.5), rungs=12),
    "kd": small_trial(objective=KD(temperature=4.0), rungs=12),
    "guided": small_trial(policy=MIGuided(every=3), rungs=12),
}
#: Each worker normalises its own share: not what one worker would do, but the same for both.
SHARED = {"batch_norm": small_trial(student=ResNet(depth=8), steps=4, rungs=2)}


def paired(configs: dict[str, TrialConfig]) -> list[TrialConfig]:
    return [config.model_copy(update={"workers": 2}) for config in configs.values()]


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The steps of each config as two workers took them; one group takes all."""
    ranks = train_in_group(paired(STEPPED), 2, tmp_path_factory.mktemp("stepped"), STEPS)
    return {name: [rank[number] for rank in ranks] for number, name in enumerate(STEPPED)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    ranks = train_in_group(paired(WHOLE | SHARED), 2, tmp_path_factory.mktemp("whole"))
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


@pytest.mark.parametrize("name", STEPPED)
def test_two_workers_have_the_losses_gradients_and_memory_of_one(name: str, stepped: dict[str, list[Steps]]) -> None:
    one, two = take_steps(STEPPED[name], STEPS), stepped[name][0]
    assert two.losses == pytest.approx(one.losses, rel=1e-5)
    assert_same_tensors(two.gradients, one.gradients)
    assert_same_tensors(two.state, one.state)
    other = stepped[name][1]
    assert other.losses == two.losses
    assert all(torch.equal(two.state[key], tensor) or tensor.isnan().any() for key, tensor in other.state.items())


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
