"""Which part of a space does not fit, and why."""

from search_spaces.policies import Resources
from sweeps.preview.fit import memory_bytes, misfits
from sweeps.preview.foresight import foresee
from tests.sweeps.plain_slot import smoke
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
from trainables.metrics import PEAK_BYTES
from trainables.models.convnet import ConvNet

TRIALS = foresee(smoke("search={name: random}", "budget.trials=60", "trial.student.width={choice: [2, 3, 24]}")).sample


def width(config: TrialConfig) -> int:
    assert isinstance(config.student, ConvNet)
    return config.student.width


def size(config: TrialConfig) -> int:
    assert isinstance(config.memory, Bank)
    return config.memory.size


def test_all_that_do_not_fit_have_the_leaf_in_common_that_makes_them_large() -> None:
    wide = max(trial.compute[PEAK_BYTES] for trial in TRIALS if width(trial.config) < 24)
    found = misfits(TRIALS, lambda trial: trial.compute[PEAK_BYTES] <= wide)
    assert found.share == sum(trial.compute[PEAK_BYTES] > wide for trial in TRIALS) / len(TRIALS)
    assert 0 < found.share < 1
    assert found.all_have is not None
    assert found.all_have.startswith("student.width")


def test_where_all_fit_or_none_does_no_leaf_is_named() -> None:
    assert misfits(TRIALS, lambda trial: True).share == 0  # noqa: ARG005
    nothing = misfits(TRIALS, lambda trial: False)  # noqa: ARG005
    assert (nothing.share, nothing.all_have) == (1.0, None)


def test_a_range_explains_by_an_end() -> None:
    sizes = sorted(size(trial.config) for trial in TRIALS)
    found = misfits(TRIALS, lambda trial: size(trial.config) < sizes[40])
    assert found.all_have == f"memory.size >= {sizes[40]} (100% of such trials)"


def test_workers_share_the_memory_of_the_machine() -> None:
    assert memory_bytes(Resources(workers=2, cpus_per_worker=1), 1) <= memory_bytes(Resources(), 1)
