"""Two workers train what one would: they share a batch, not a statistic."""

from pathlib import Path

import pytest
import torch

from tests.trainables.group import Trained, train_in_group, train_whole
from tests.trainables.trials import small_trial, timeless
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
from trainables.memory.in_batch import InBatch
from trainables.memory.queue import Queue
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD

CONFIGS = {
    "crd-bank": small_trial(objective=CRD(temperature=0.2), memory=Bank(size=900, momentum=0.5), rungs=12),
    "infonce-queue": small_trial(objective=InfoNCE(temperature=0.2), memory=Queue(size=50), rungs=12),
    "infonce-in_batch": small_trial(
        objective=InfoNCE(temperature=0.2), memory=InBatch(), negatives=Uniform(count=12), rungs=12
    ),
    "kd": small_trial(objective=KD(temperature=4.0), rungs=12),
}
Ranks = dict[str, list[Trained]]


@pytest.fixture(scope="module")
def in_group(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """Each config as two workers trained it; one group trains all."""
    paired = [config.model_copy(update={"workers": 2}) for config in CONFIGS.values()]
    ranks = train_in_group(paired, 2, tmp_path_factory.mktemp("group"))
    return {name: [rank[number] for rank in ranks] for number, name in enumerate(CONFIGS)}


def alone(config: TrialConfig, folder: Path) -> Trained:
    return train_whole(config, folder)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_workers_are_as_good_as_one(name: str, in_group: Ranks, tmp_path: Path) -> None:
    one, two = alone(CONFIGS[name], tmp_path), in_group[name][0]
    for ours, theirs in zip(two.reports, one.reports, strict=True):  # every step is a rung: the whole curve
        assert timeless(ours.metrics) == pytest.approx(timeless(theirs.metrics), rel=1e-5)
    assert timeless(two.outcome.metrics) == pytest.approx(timeless(one.outcome.metrics), rel=1e-5)
    assert two.state.keys() == one.state.keys()
    for key, tensor in one.state.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(two.state[key], tensor, rtol=1e-5, atol=1e-6, equal_nan=True)
        else:
            assert torch.equal(two.state[key], tensor), key


@pytest.mark.parametrize("name", CONFIGS)
def test_both_workers_have_the_same(name: str, in_group: Ranks) -> None:
    first, second = in_group[name]
    assert first.outcome.weights_digest == second.outcome.weights_digest
    assert timeless(first.outcome.metrics) == timeless(second.outcome.metrics)
    assert [timeless(report.metrics) for report in first.reports] == [
        timeless(report.metrics) for report in second.reports
    ]
