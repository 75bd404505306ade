"""Nothing is worked out twice: features of a set, fits on it, scores of a split."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.trials import small_trial, teacher_of
from trainables.evidence import Evidence, Score
from trainables.measure import Measurements
from trainables.models.adapter import Adapter
from trainables.objectives.infonce import InfoNCE
from trainables.outcomes import TrialFailure
from trainables.storage import Storage
from trainables.teacher import Shown
from trainables.teacher_cache import TeacherCache

CONFIG = small_trial()
ADAPTER = small_trial(student=Adapter(hidden=8), objective=InfoNCE(positive="view"))
TASK = CONFIG.task.load()
PROBES = CONFIG.evaluation.probes()


class Student:
    """The pixels; counts what it is shown."""

    def __init__(self) -> None:
        self.shown: Counter[int] = Counter()

    def __call__(self, shown: Shown) -> Tensor:
        self.shown[hash(shown.images.numpy().tobytes())] += 1
        return shown.images.flatten(1)


def measurements(folder: Path, config: Any = CONFIG) -> Measurements:
    return Measurements(config, TASK, TeacherCache(teacher_of(config.teacher, config.task), Storage(str(folder))))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each probe was fitted."""
    counted: Counter[str] = Counter()

    def count(kind: type[Any]) -> None:
        fit = kind.fit

        def counting(self: Any, evidence: Evidence) -> Score:
            counted[kind.__name__] += 1
            score: Score = fit(self, evidence)
            return score

        monkeypatch.setattr(kind, "fit", counting)

    for probe in PROBES:
        count(type(probe))
    return counted


def test_transfer_sets_that_share_a_split_share_what_is_fitted_on_it(tmp_path: Path, fits: Counter[str]) -> None:
    student = Student()
    measured = measurements(tmp_path).of(student)
    quick = measured.quick()
    assert set(fits) == {"KNN"}
    assert len(student.shown) == 3  # one `train`, two validation splits
    final = measured.final()
    assert quick.items() <= final.items()
    assert fits == {type(probe).__name__: 1 for probe in PROBES}
    assert len(student.shown) == 7  # the source, its view, and two test splits
    assert set(student.shown.values()) == {1}


def test_the_same_is_measured_with_and_without_a_rung_before(tmp_path: Path) -> None:
    measurer = measurements(tmp_path)
    measured = measurer.of(Student())
    measured.quick()
    assert measured.final() == measurer.of(Student()).final()


def test_raw_features_are_measured_once_for_all_rungs(tmp_path: Path, fits: Counter[str]) -> None:
    measurer = measurements(tmp_path, ADAPTER)
    for _ in range(3):
        measured = measurer.of(lambda shown: 2 * shown.teacher.features)
        gains = {name: value for name, value in measured.quick().items() if name.endswith("_gain")}
        assert set(gains.values()) == {0.0}
    assert fits == {"KNN": 3 + 1}


def test_a_feature_that_is_no_number_ends_the_trial_with_what_to_change(tmp_path: Path) -> None:
    measured = measurements(tmp_path).of(lambda shown: torch.full((len(shown.images), 2), torch.inf))
    with pytest.raises(TrialFailure, match=r"optimizer\.learning_rate") as failure:
        measured.quick()
    assert failure.value.kind == "nan"
