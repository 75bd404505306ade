"""The search: what is suggested, told and restored."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from search_spaces.policies import Bound, Gp, Grid, Nsga2, Random, SearchConfig, Tpe
from search_spaces.space import Space
from search_spaces.sweep_file import Goal
from sweeps.events import TrialState
from sweeps.search.planning import search_for
from sweeps.search.protocol import Search, Suggestion
from sweeps.search.samplers import trial_seed
from trainables.config import TrialConfig

GOALS: dict[str, Goal] = {"accuracy": "maximize", "cost": "minimize"}

SPACE = Space.parse(
    {
        "objective": {"name": "crd", "temperature": {"float": [0.03, 0.5], "log": True}},
        "memory": {
            "choice": [
                {"name": "in_batch"},
                {"name": "queue", "size": {"int": [64, 512], "log": True}},
                {"name": "bank", "size": {"int": [64, 1024]}, "momentum": {"float": [0.0, 0.9], "step": 0.1}},
            ]
        },
        "negatives": {
            "name": "uniform",
            "count": {"int": [8, 1024], "log": True, "at_most": ["memory.size", "batch_size"]},
        },
        "batch_size": {"choice": [32, 64]},
    },
    TrialConfig,
)


@dataclass
class Trial:
    """What a ledger would hold of a trial."""

    number: int
    state: TrialState
    parameters: dict[str, Any]
    distributions: dict[str, str]
    sampler_attributes: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)


def recorded(number: int, suggestion: Suggestion) -> Trial:
    """A new record, as read back from the ledger's JSON."""
    kept = (suggestion.parameters, suggestion.distributions, suggestion.sampler_attributes)
    return Trial(number, "running", *json.loads(json.dumps(kept)))


def outcome(number: int, config: dict[str, Any]) -> tuple[TrialState, dict[str, float]]:
    """What becomes of a trial: a formula of its config; every fifth is pruned, every seventh fails."""
    count, temperature = config["negatives"]["count"], config["objective"]["temperature"]
    metrics = {"accuracy": count**0.5 - abs(temperature - 0.1), "cost": float(count * config["batch_size"])}
    if number % 7 == 6:
        return "failed", {}
    return ("pruned", metrics) if number % 5 == 4 else ("complete", metrics)


def serial(search: Search, trials: int, ledger: list[Trial]) -> list[Suggestion]:
    """One trial after another, up to so many in the ledger."""
    suggestions = []
    while len(ledger) < trials and (suggestion := search.ask(len(ledger))) is not None:
        trial = recorded(len(ledger), suggestion)
        trial.state, trial.metrics = outcome(trial.number, suggestion.config)
        search.tell(trial.number, trial.state, trial.metrics)
        ledger.append(trial)
        suggestions.append(suggestion)
    return suggestions


@pytest.mark.parametrize("goals", [GOALS, {"accuracy": GOALS["accuracy"]}], ids=["two goals", "one goal"])
@pytest.mark.parametrize("config", [Tpe(startup_trials=5), Random(), Grid(points=2)], ids=lambda config: config.name)
def test_a_restored_search_goes_on_as_if_nothing_had_happened(config: SearchConfig, goals: Mapping[str, Goal]) -> None:
    expected = serial(search_for(SPACE, goals, config), 24, [])
    assert len(expected) == 24
    for cut in (0, 3, 11, 20):
        ledger: list[Trial] = []
        before = serial(search_for(SPACE, goals, config), cut, ledger)
        restored = search_for(SPACE, goals, config)
        restored.restore(reversed(ledger))
        assert before + serial(restored, 24, ledger) == expected


def test_what_a_search_is_restored_from_stays_as_it_is() -> None:
    ledger: list[Trial] = []
    bounds = {"cost": Bound(at_most=1e4)}
    serial(search_for(SPACE, GOALS, Tpe(startup_trials=5), bounds), 8, ledger)
    before = copy.deepcopy(ledger)
    search_for(SPACE, GOALS, Tpe(startup_trials=5), bounds).restore(ledger)
    assert ledger == before


def test_the_study_matters_to_tpe_and_its_attributes_are_kept() -> None:
    ledger: list[Trial] = []
    told = serial(search_for(SPACE, GOALS, Tpe(startup_trials=5)), 24, ledger)
    assert any(trial.sampler_attributes for trial in ledger)
    untold = search_for(SPACE, GOALS, Tpe(startup_trials=5))
    suggestions = [untold.ask(number) for number in range(24)]
    assert suggestions[:5] == told[:5]
    assert suggestions[12:] != told[12:]


def test_tpe_learns_from_pruned_trials_and_not_from_failed_ones() -> None:
    after: dict[TrialState, list[Suggestion | None]] = {}
    for state in ("pruned", "failed", "running"):
        search = search_for(SPACE, GOALS, Tpe(startup_trials=3))
        for number in range(5):
            search.ask(number)
            if state != "running":
                search.tell(number, state, {})
        after[state] = [search.ask(number) for number in range(5, 8)]
    assert after["pruned"] != after["failed"]
    assert after["failed"] == after["running"]


@pytest.mark.parametrize("config", [Tpe(startup_trials=5), Random()], ids=lambda config: config.name)
def test_trials_under_way_are_restored_and_can_be_told(config: SearchConfig) -> None:
    search, ledger = search_for(SPACE, GOALS, config), list[Trial]()
    serial(search, 12, ledger)
    for number in (12, 13):
        suggestion = search.ask(number)
        assert suggestion is not None
        ledger.append(recorded(number, suggestion))
    ledger[-1].state = "waiting"
    restored = search_for(SPACE, GOALS, config)
    restored.restore(ledger)
    assert restored.ask(14) == search.ask(14)
    for each in (search, restored):
        each.tell(13, "complete", {"accuracy": 1.0, "cost": 2.0, "other": 3.0})
        each.tell(12, "pruned", {})
        each.tell(14, "failed", {})
    assert restored.ask(15) == search.ask(15)


@pytest.mark.parametrize("config", [Tpe(startup_trials=3), Nsga2(population=4), Random(), Gp(), Grid(points=2)])
def test_every_search_bears_all_states_and_its_trials_differ(config: SearchConfig) -> None:
    suggestions = serial(search_for(SPACE, GOALS, config), 16, [])
    assert len({json.dumps(suggestion.config) for suggestion in suggestions}) > 12
    for suggestion in suggestions:
        TrialConfig.model_validate_json(json.dumps(suggestion.config), strict=True)


def test_a_grid_visits_every_point_once_and_ends() -> None:
    points = [point.config for point in SPACE.enumerate(2)]
    search, ledger = search_for(SPACE, GOALS, Grid(points=2)), list[Trial]()
    assert [suggestion.config for suggestion in serial(search, 10_000, ledger)] == points
    assert search.ask(len(points)) is None
    restored = search_for(SPACE, GOALS, Grid(points=2))
    restored.restore(ledger)
    assert restored.ask(len(points)) is None


def test_suggestions_depend_on_seed_and_number() -> None:
    by_seed = [search_for(SPACE, GOALS, Random(seed=seed)).ask(0) for seed in (0, 0, 1)]
    assert by_seed[0] == by_seed[1] != by_seed[2]
    assert len({trial_seed(seed, number) for seed in range(30) for number in range(30)}) == 900


@pytest.mark.parametrize("metrics", [{}, {"accuracy": 1.0}, {"accuracy": 1.0, "cost": float("nan")}])
def test_a_complete_trial_has_every_goal(metrics: dict[str, float]) -> None:
    search = search_for(SPACE, GOALS, Random())
    search.ask(0)
    with pytest.raises(ValueError, match="finite value of every goal"):
        search.tell(0, "complete", metrics)
    search.tell(0, "failed", metrics)


@pytest.mark.parametrize("numbers", [[1], [0, 0], [0, 2]])
def test_a_ledger_with_holes_is_refused(numbers: list[int]) -> None:
    records = [Trial(number, "failed", {}, {}, {}) for number in numbers]
    with pytest.raises(ValueError, match="every trial once"):
        search_for(SPACE, GOALS, Random()).restore(records)


def test_trials_are_asked_for_in_order() -> None:
    ask: Callable[[int], Suggestion | None] = search_for(SPACE, GOALS, Random()).ask
    with pytest.raises(ValueError, match="next is 0, not 1"):
        ask(1)
