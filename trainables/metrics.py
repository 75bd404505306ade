"""Names of every metric: the only module that spells them.

Metrics of the validation split carry no prefix, since they are the ones a sweep may see and optimise.
Those of the test split carry ``test/`` and are reported, never optimised (design, decision 6).
"""

from collections.abc import Mapping

TEST_PREFIX = "test/"

TRAIN_LOSS = "train/loss"

#: A measure of each transfer set that is 1 where the student's features have collapsed (`evaluation.geometry`).
COLLAPSED = "collapsed"

#: Accuracy of a student's own classifier, on a set that is labelled by the source's classes.
TOP1 = "top1"

COMPUTE_PREFIX = "compute/"
COST_S = "compute/cost_s"
FLOPS = "compute/train_flops"
BYTES = "compute/bytes_moved"
PEAK_BYTES = "compute/peak_bytes"
COMMUNICATED_BYTES = "compute/communicated_bytes"
TEACHER_FLOPS = "compute/teacher_flops"
TEACHER_FLOPS_AMORTISED = "compute/teacher_flops_amortised"
DEVICE_SECONDS = "compute/device_seconds"
SPENT_S = "compute/spent_s"  # of a sweep: the cost of its trials so far

SYSTEM_PREFIX = "system/"  # what MLflow takes for a metric of the machine

#: Known before a trial starts (`trainables.compute`); the rest is found out by training.
PLANNED_METRICS = (COST_S, FLOPS, BYTES, PEAK_BYTES, COMMUNICATED_BYTES, TEACHER_FLOPS, TEACHER_FLOPS_AMORTISED)


def of_this_run(name: str) -> bool:
    """Whether a metric tells of the machine and the time that a run had, and so differs between two of one trial."""
    return name == DEVICE_SECONDS or name.startswith(SYSTEM_PREFIX)


def transfer_metric(transfer_set: str, measure: str) -> str:
    """Key of a generalisation measure, such as ``transfer/knn_top1``: the named transfer set, then the measure."""
    return f"{transfer_set}/{measure}"


def gain_metric(key: str) -> str:
    """The same measure of a student of frozen features, minus that of these features themselves."""
    return f"{key}_gain"


def on_test(key: str) -> str:
    """The same metric measured on the test split."""
    return TEST_PREFIX + key


def collapsed(metrics: Mapping[str, float]) -> list[str]:
    """The transfer sets on which a student's features lie on a line or all point the same way: a flag, no failure.

    Such a trial is complete, and its measures are what they are; but a front that it stands on deserves a look.
    """
    found = [name.rpartition("/") for name, value in metrics.items() if value and not name.startswith(TEST_PREFIX)]
    return [transfer_set for transfer_set, _, measure in found if transfer_set and measure == COLLAPSED]
