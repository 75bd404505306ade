"""A trial that goes on from its checkpoint is the one that was never interrupted: every combination, bit for bit."""

from pathlib import Path

import pytest
import torch

from tests.trainables.stepping import Stepped
from tests.trainables.trials import (
    Listener,
    all_combinations,
    checkpoints_in,
    combination_id,
    small_trial,
    timeless,
    train,
)
from trainables.checkpoint import Progress
from trainables.compute import Meter
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
from trainables.models.adapter import Adapter
from trainables.negatives.retrieval import Retrieval
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.optimizer import Optimizer
from trainables.outcomes import Leaving
from trainables.policies.anneal import Anneal
from trainables.step import TrainingStep
from trainables.world import SingleWorld

BEFORE, ALL = 4, 8  # a memory of prototypes clusters on both sides of the interruption

MODES = {
    "crd-learned": small_trial(objective=CRD(normaliser="learned"), memory=Bank(size=900)),
    "crd-relax": small_trial(objective=CRD(positive="relax"), memory=Bank(size=900)),
    "crd-annealed": small_trial(
        objective=CRD(), memory=Bank(size=900), negatives=Retrieval(count=12), policy=Anneal(temperature=0.5)
    ),
    "averaged": small_trial(optimizer=Optimizer(averaging=3)),
    "simskip": small_trial(
        student=Adapter(hidden=8), objective=InfoNCE(positive="view"), negatives=Retrieval(count=12)
    ),
}
CONFIGS = {combination_id(config): config for config in all_combinations()} | MODES


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_resumed_in_mid_training_equals_uninterrupted(config: TrialConfig, tmp_path: Path) -> None:
    whole = Stepped(config).run(range(BEFORE))
    checkpoints = checkpoints_in(tmp_path, config)
    checkpoints.save(whole.training, whole.optimizer, whole.meter, Progress(step=BEFORE))
    whole.run(range(BEFORE, ALL))

    resumed = Stepped(config)
    assert checkpoints.restore(resumed.training, resumed.optimizer, resumed.meter).step == BEFORE
    resumed.run(range(BEFORE, ALL))
    expected, found = whole.state(), resumed.state()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        same = (
            torch.equal(tensor, found[name]) or (tensor.isnan() & found[name].isnan() | (tensor == found[name])).all()
        )
        assert same, name
    assert whole.losses[BEFORE:] == resumed.losses
    assert whole.meter == resumed.meter


class Warned(SingleWorld):
    """A worker that is warned before one of its steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def leaving(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("step", [0, 1, 5, 11])
def test_a_worker_that_is_warned_leaves_a_checkpoint_of_its_step(step: int, tmp_path: Path) -> None:
    config = small_trial(objective=CRD(temperature=0.2), memory=Bank(size=900, momentum=0.5), rungs=2)
    with pytest.raises(Leaving):
        train(config, tmp_path / "warned", listener := Listener(), world=Warned(step))
    assert [report.step for report in listener.reports] == [rung for rung in (6, 12) if rung <= step]
    resumed = TrainingStep(config)
    optimizer = config.optimizer.build(resumed.parameters())
    assert checkpoints_in(tmp_path / "warned", config).restore(resumed, optimizer, Meter(config.device)).step == step
    whole, gone_on = train(config, tmp_path / "whole"), train(config, tmp_path / "warned")
    assert gone_on.weights_digest == whole.weights_digest
    assert timeless(gone_on.metrics) == timeless(whole.metrics)


def test_the_tables_are_covered() -> None:
    names = {name for config in all_combinations() for name in combination_id(config).split("-")}
    assert {"crd", "pcl", "sum", "bank", "prototypes", "label_aware", "retrieval", "likelihood"} <= names
    assert len(all_combinations()) > 100
