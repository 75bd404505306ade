"""Constraints: what is never trained, what the sampler learns, what never stands on the front."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial
from typer.testing import CliRunner

from dashboards.cli import app as dashboards_app
from search_spaces.policies import Bound, Gp, Grid, Nsga2, Random, SearchConfig, Tpe
from sweeps.cli import app
from sweeps.constraints import excesses, kept
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.search.planning import search_for
from sweeps.search.protocol import Search, Suggestion
from sweeps.search.study import DRAWS, StudySearch
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.search.test_study import GOALS, SPACE, Trial, recorded
from tests.sweeps.test_driver import facts, run_out

PEAK = "compute/peak_bytes"
BOUNDS = {"accuracy": Bound(at_least=10.0)}
SMALL = ("budget.trials=12", f"constraints={{{PEAK}: {{at_most: 250000}}}}")


def test_an_excess_is_how_far_a_bound_is_broken() -> None:
    bounds = {"a": Bound(at_least=1.0), "b": Bound(at_most=2.0), "c": Bound(at_least=1.0, at_most=2.0)}
    assert excesses(bounds, {"a": 0.5, "b": 1.5, "c": 5.0}) == {"a": 0.5, "b": -0.5, "c": 3.0}
    assert kept(bounds, {"a": 1.0, "b": 2.0, "c": 1.5})
    assert not kept(bounds, {"a": 1.0, "b": 2.0})
    assert not kept(bounds, {"a": 1.0, "b": 2.0, "c": float("nan")})


def outcome(config: dict[str, Any], number: int) -> tuple[Any, dict[str, float]]:
    count, temperature = config["negatives"]["count"], config["objective"]["temperature"]
    metrics = {"accuracy": count**0.5 - abs(temperature - 0.1), "cost": float(count)}
    return ("pruned" if number % 5 == 4 else "complete"), metrics


def serial(search: Search, trials: int, ledger: list[Trial]) -> list[Suggestion]:
    suggestions = []
    while len(ledger) < trials and (suggestion := search.ask(len(ledger))) is not None:
        trial = recorded(len(ledger), suggestion)
        trial.state, trial.metrics = outcome(suggestion.config, trial.number)
        search.tell(trial.number, trial.state, trial.metrics)
        ledger.append(trial)
        suggestions.append(suggestion)
    return suggestions


def told(search: Search) -> list[FrozenTrial]:
    assert isinstance(search, StudySearch)
    return search._study.get_trials()


def few_negatives(config: Mapping[str, Any]) -> bool:
    return bool(config["negatives"]["count"] <= 60)


@pytest.mark.parametrize("config", [Tpe(startup_trials=3), Nsga2(population=4), Random(), Gp()])
def test_every_sampler_hears_of_constraints_and_suggests_only_what_may_be_trained(config: SearchConfig) -> None:
    search, ledger = search_for(SPACE, GOALS, config, BOUNDS, few_negatives), list[Trial]()
    suggestions = serial(search, 12, ledger)
    assert len(suggestions) == 12
    assert all(few_negatives(suggestion.config) for suggestion in suggestions)
    for trial, record in zip(told(search), ledger, strict=True):
        expected = {"accuracy": 10.0 - record.metrics["accuracy"]} if record.state == "complete" else {}
        assert trial.constraints == expected
    assert len({json.dumps(suggestion.config) for suggestion in suggestions}) > 9


def test_a_grid_suggests_only_what_may_be_trained_and_nothing_twice() -> None:
    everything = serial(search_for(SPACE, GOALS, Grid(points=3)), 1000, [])
    allowed = [suggestion for suggestion in everything if few_negatives(suggestion.config)]
    assert 3 < len(allowed) < len(everything)
    assert serial(search_for(SPACE, GOALS, Grid(points=3), BOUNDS, few_negatives), 1000, []) == allowed


@pytest.mark.parametrize("config", [Tpe(startup_trials=3), Random(), Grid(points=2)], ids=lambda config: config.name)
def test_a_restored_search_with_constraints_goes_on_as_if_nothing_had_happened(config: SearchConfig) -> None:
    expected = serial(search_for(SPACE, GOALS, config, BOUNDS, few_negatives), 14, [])
    for cut in (0, 2, 9):
        ledger: list[Trial] = []
        before = serial(search_for(SPACE, GOALS, config, BOUNDS, few_negatives), cut, ledger)
        restored = search_for(SPACE, GOALS, config, BOUNDS, few_negatives)
        restored.restore(ledger)
        assert before + serial(restored, 14, ledger) == expected


def test_tpe_turns_to_where_constraints_are_kept() -> None:
    wanted = {"accuracy": Bound(at_least=20.0)}
    counts = []
    for bounds in ({}, wanted):
        suggestions = serial(search_for(SPACE, {"cost": "minimize"}, Tpe(startup_trials=8), bounds), 30, [])
        counts.append(sum(suggestion.config["negatives"]["count"] for suggestion in suggestions[15:]))
    assert counts[1] > 1.5 * counts[0], "the cheapest trials break the bound"


@pytest.mark.parametrize("config", [Random(), Grid(points=2)], ids=lambda config: config.name)
def test_a_search_of_which_nothing_may_be_trained_ends(config: SearchConfig) -> None:
    asked = []

    def nothing(tree: dict[str, Any]) -> bool:
        asked.append(tree)
        return False

    assert search_for(SPACE, GOALS, config, {}, nothing).ask(0) is None
    assert len({json.dumps(tree) for tree in asked}) > 20
    assert isinstance(config, Grid) or len(asked) == DRAWS


def test_a_trial_that_would_need_too_much_memory_is_never_trained(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path / "free", smoke("budget.trials=12"), slot) as driver:
        run_out(driver, slot)
        assert any(trial.compute[PEAK] > 250000 for trial in driver.ledger.history.trials.values())
    with driving(tmp_path / "bound", smoke(*SMALL), slot) as driver:
        run_out(driver, slot)
        trials = driver.ledger.history.trials.values()
        assert len(trials) == 12
        assert all(trial.compute[PEAK] <= 250000 for trial in trials)


@pytest.mark.parametrize("left_after", [1, 5, 9])
def test_a_resumed_sweep_with_constraints_suggests_what_it_would_have(tmp_path: Path, left_after: int) -> None:
    bounds = f"{{{PEAK}: {{at_most: 250000}}, transfer/knn_top1: {{at_least: 0.1}}}}"
    loaded = smoke("budget.trials=12", f"constraints={bounds}")
    slot = PlainSlot(formula)
    with driving(tmp_path / "twin", loaded, slot) as driver:
        run_out(driver, slot)
    with driving(tmp_path / "swept", loaded, slot) as driver:
        run_out(driver, slot, left_after)
        driver.next_trial()
    with driving(tmp_path / "swept", loaded, slot) as driver:
        run_out(driver, slot)
    assert facts(tmp_path / "swept") == facts(tmp_path / "twin")


def test_a_complete_trial_without_a_value_of_a_constraint_has_failed(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke("constraints={transfer/cka: {at_least: 0.1}}"), slot) as driver:
        job = driver.next_trial()
        assert job is not None
        slot.run(driver, job)
        assert driver.ledger.history.trials[0].state == "failed"
        assert "transfer/cka" in str(driver.ledger.history.trials[0].message)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of which the best trials break the constraint."""
    storage = tmp_path_factory.mktemp("results")
    slot = PlainSlot(formula)
    loaded = smoke("budget.trials=12", "stop={name: none}", "constraints={transfer/knn_top1: {at_most: 0.2}}")
    with driving(storage / "bound", loaded, slot) as driver:
        run_out(driver, slot)
        driver.ledger.append(stories.closed(1))
    return storage


def test_no_command_shows_what_breaks_a_constraint(storage: Path) -> None:
    def said(*arguments: str) -> Any:
        return json.loads(CliRunner().invoke(app, [*arguments, "--storage", str(storage), "--json"]).stdout)

    with Ledger.open(storage / "bound") as ledger:
        trials = History.of(ledger.events()).trials
    best = max(trials.values(), key=lambda trial: trial.metrics["transfer/knn_top1"])
    assert best.metrics["transfer/knn_top1"] > 0.2
    points = said("front")
    assert points
    assert all(point["metrics"]["transfer/knn_top1"] <= 0.2 for point in points)
    assert said("status")["front"] == [point["trial"] for point in points]
    assert said("best") in points
    assert said("best", "--at-least", "transfer/knn_top1=0.05") in points
    panel = CliRunner().invoke(app, ["status", "--storage", str(storage)]).stdout
    assert f"{best.metrics['transfer/knn_top1']:.3f}" not in panel
    drawn = CliRunner().invoke(dashboards_app, ["front", "--storage", str(storage), "--output", str(storage / "f.svg")])
    assert drawn.exit_code == 0
