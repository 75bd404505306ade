"""Timing trains a few steps of a real trial and leaves nothing."""

import tempfile
from pathlib import Path

import pytest

from tests.trainables.trials import small_trial, teacher_of
from trainables.optimizer import Optimizer
from trainables.outcomes import TrialFailure
from trainables.placement import CPU
from trainables.storage import Storage
from trainables.teacher_cache import TeacherCache
from trainables.timing import time_trial


def test_timing_measures_every_part_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_trial(steps=1_000_000, rungs=50, workers=2)
    teacher = TeacherCache(teacher_of(config.teacher, config.task), Storage(str(tmp_path / "outputs")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measured = time_trial(config, config.task.load(), teacher, CPU)
    assert min(measured.step_s, measured.end_s) > 0
    assert min(measured.begin_s, measured.rung_s) >= 0
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_a_trial_that_fails_fails_when_it_is_timed(tmp_path: Path) -> None:
    config = small_trial(optimizer=Optimizer(learning_rate=1e30))
    teacher = TeacherCache(teacher_of(config.teacher, config.task), Storage(str(tmp_path)))
    with pytest.raises(TrialFailure):
        time_trial(config, config.task.load(), teacher, CPU)
