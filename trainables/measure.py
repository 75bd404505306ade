"""What a student's frozen features are worth: every probe on every transfer set of its task."""

from collections.abc import Sequence

import torch
from torch import nn

from trainables.config import TrialConfig
from trainables.metrics import on_test, transfer_metric
from trainables.protocols import ImageSplit, Probe, ProbeSplit, Task, TransferSet


def rung_measures(config: TrialConfig, task: Task, student: nn.Module) -> dict[str, float]:
    """The quick probes on the validation splits, by metric name."""
    probes = [probe for probe in config.evaluation.probes() if probe.at_rungs]
    return _measures(probes, task, student, "validation")


def final_measures(config: TrialConfig, task: Task, student: nn.Module) -> dict[str, float]:
    """Every probe on the validation splits, and, under ``test/``, on the test splits."""
    probes = config.evaluation.probes()
    on_validation = _measures(probes, task, student, "validation")
    on_test_split = _measures(probes, task, student, "test")
    return on_validation | {on_test(name): value for name, value in on_test_split.items()}


def _measures(probes: Sequence[Probe], task: Task, student: nn.Module, held_out: str) -> dict[str, float]:
    measures: dict[str, float] = {}
    for name, transfer_set in task.transfer_sets.items():
        train, queries = (_features(student, split) for split in _splits(transfer_set, held_out))
        for probe in probes:
            measures |= {transfer_metric(name, key): value for key, value in probe(train, queries).items()}
    return measures


def _splits(transfer_set: TransferSet, held_out: str) -> tuple[ImageSplit, ImageSplit]:
    return transfer_set.train, transfer_set.validation if held_out == "validation" else transfer_set.test


def _features(student: nn.Module, split: ImageSplit) -> ProbeSplit:
    was_training = student.training
    student.eval()
    with torch.no_grad():
        features = student(split.images)
    student.train(was_training)
    return ProbeSplit(features, split.label_N)
