"""A preset is a tree that a file may start from: what the file says wins."""

from pathlib import Path
from typing import Any

import pytest

from search_spaces.draws import CornerDraw
from search_spaces.errors import ConfigErrors
from search_spaces.presets import PRESETS, expand
from search_spaces.sweep_file import load
from trainables.config import TrialConfig, goal_metrics

SWEEP = "name: mine\ntrial: {trial}\ngoals: {{transfer/knn_top1: maximize}}\nbudget: {{trials: 4}}\n"


def first_trial(folder: Path, trial: str, *overrides: str) -> dict[str, Any]:
    file = folder / "sweep.yaml"
    file.write_text(SWEEP.format(trial=trial))
    return load(file, overrides).space.suggest(CornerDraw(high=False, forced={}))


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_a_trial_on_its_own(name: str) -> None:
    trial, problems = expand({"preset": name})
    assert not problems
    config = TrialConfig.model_validate(trial)
    assert config.student.name != TrialConfig().student.name


def test_what_is_written_wins_and_the_rest_stays(tmp_path: Path) -> None:
    trial = "{preset: simskip, objective: {temperature: {float: [0.2, 0.4]}}, student: {mask: 0.4}, steps: 7}"
    found = first_trial(tmp_path, trial)
    assert found["objective"] == {"name": "infonce", "positive": "view", "temperature": 0.2}
    assert found["student"] == {"name": "adapter", "mask": 0.4}
    assert found["steps"] == 7
    assert "preset" not in found


def test_another_member_and_a_choice_replace_the_presets_own(tmp_path: Path) -> None:
    assert first_trial(tmp_path, "{preset: simskip, memory: {name: queue, size: 70}}")["memory"] == {
        "name": "queue",
        "size": 70,
    }
    choice = "{preset: simskip, memory: {choice: [{name: queue, size: 70}, {name: bank}]}}"
    assert first_trial(tmp_path, choice)["memory"]["name"] in ("queue", "bank")


def test_what_a_preset_brings_can_be_set_from_the_command_line(tmp_path: Path) -> None:
    found = first_trial(tmp_path, "{preset: hybrid}", "trial.objective.terms.likelihood.weight=0.25")
    assert found["objective"]["terms"]["likelihood"] == {"weight": 0.25, "objective": {"name": "likelihood"}}


def test_what_is_set_once_is_not_there_the_next_time(tmp_path: Path) -> None:
    before = first_trial(tmp_path, "{preset: hybrid}")
    first_trial(tmp_path, "{preset: hybrid}", "trial.objective.terms.likelihood.weight=0.25", "trial.student.width=3")
    assert first_trial(tmp_path, "{preset: hybrid}") == before


@pytest.mark.parametrize("setting", ["trial.preset=hybrid", "trial={preset: hybrid, seed: 3}"])
def test_a_preset_may_be_named_on_the_command_line(setting: str, tmp_path: Path) -> None:
    part = ["trial.objective.terms.likelihood.weight=0.25"] if setting.startswith("trial.") else []
    found = first_trial(tmp_path, "{student: {width: 4}, seed: 3}", *part, setting)
    assert found["objective"]["terms"]["contrast"]["objective"]["name"] == "crd"
    assert found["student"] == {"name": "encoder_decoder", **({"width": 4} if part else {})}
    assert found["objective"]["terms"]["likelihood"]["weight"] == (0.25 if part else 1.0)
    assert found["seed"] == 3


def test_a_preset_on_the_command_line_takes_the_place_of_the_files(tmp_path: Path) -> None:
    assert first_trial(tmp_path, "{preset: hybrid}", "trial.preset=simskip")["student"]["name"] == "adapter"
    with pytest.raises(ConfigErrors) as refused:
        first_trial(tmp_path, "{preset: hybrid}", "trial.preset=simskop")
    (problem,) = refused.value.problems
    assert (problem.path, problem.where) == ("trial.preset", "--set")
    assert "`simskip`" in problem.fix


def test_weights_of_a_sum_may_be_swept(tmp_path: Path) -> None:
    trial = "{preset: hybrid, objective: {terms: {likelihood: {weight: {float: [0.1, 3.0], log: true}}}}}"
    assert first_trial(tmp_path, trial)["objective"]["terms"]["likelihood"]["weight"] == 0.1


@pytest.mark.parametrize("written", ["simskop", "3", "[simskip]"])
def test_a_preset_that_is_none_is_refused_with_the_nearest_name(written: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as refused:
        first_trial(tmp_path, f"{{preset: {written}}}")
    (problem,) = refused.value.problems
    assert (problem.path, problem.where.rpartition(":")[2]) == ("trial.preset", "2")
    assert "simskip" in problem.rule


def test_simskip_is_measured_as_a_gain_over_the_raw_embedding() -> None:
    config = TrialConfig.model_validate(expand({"preset": "simskip"})[0])
    assert "transfer/knn_top1_gain" in goal_metrics(config)
    assert "transfer/knn_top1_gain" not in goal_metrics(TrialConfig())


def test_the_mappings_of_the_presets_stay_as_they_are() -> None:
    before = repr(PRESETS)
    tree, _ = expand({"preset": "hybrid", "objective": {"terms": {"contrast": {"weight": 9.0}}}})
    assert tree["objective"]["terms"]["contrast"]["weight"] == 9.0
    assert repr(PRESETS) == before
