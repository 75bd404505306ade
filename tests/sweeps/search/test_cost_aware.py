"""The search that knows the cost: its gain against chance, its model, and what it chooses."""

from dataclasses import dataclass, field
from typing import Any

import moocore
import numpy as np
import pytest
from optuna.distributions import distribution_to_json

from search_spaces.policies import Bound, CostAware
from search_spaces.space import Point
from sweeps.events import Reported, TrialState
from sweeps.search.cost_aware import CostAwareChoice, expected_gain, staircase
from sweeps.search.planning import search_for
from sweeps.search.surrogate import Encoding, Surrogate
from tests.sweeps.search.test_study import SPACE
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.metrics import COST_S

GOALS: Any = {"accuracy": "maximize", COST_S: "minimize"}


@dataclass
class Trial:
    """What a ledger would hold of a trial."""

    number: int
    config: dict[str, Any]
    config_digest: str
    parameters: dict[str, Any]
    distributions: dict[str, str]
    compute: dict[str, float]
    state: TrialState = "running"
    metrics: dict[str, float] = field(default_factory=dict)
    reports: dict[int, Reported] = field(default_factory=dict)
    sampler_attributes: dict[str, Any] = field(default_factory=dict)


def accuracy(config: dict[str, Any]) -> float:
    return float(np.log(config["negatives"]["count"]) / 10 - abs(np.log(config["objective"]["temperature"] / 0.1)) / 4)


def serial(
    trials: dict[int, Trial],
    until: int,
    goals: Any = GOALS,
    constraints: dict[str, Bound] = {},  # noqa: B006
    may_train: Any = None,
) -> list[dict[str, Any]]:
    """One trial after another; every third is stopped at half of its training. A new search, as after a restart."""
    search = search_for(SPACE, goals, CostAware(startup_trials=6, candidates=60), constraints, may_train, trials)
    search.restore(trials.values())
    for number in range(len(trials), until):
        suggestion = search.ask(number)
        assert suggestion is not None
        config = TrialConfig.model_validate(suggestion.config)
        parts = suggestion.config, config.digest(), suggestion.parameters, suggestion.distributions
        trial = Trial(number, *parts, planned_metrics(config))
        compute = trial.compute
        value = {"accuracy": accuracy(trial.config), "batch": float(trial.config["batch_size"])}
        report = Reported(trial=number, attempt=1, rung=0, step=1, fidelity=0.5, metrics=value)
        trial.reports[0] = report
        trial.state, trial.metrics = ("pruned", {}) if number % 3 == 2 else ("complete", {**value, **compute})
        trials[number] = trial
        search.tell(number, trial.state, trial.metrics)
    return [trial.config for trial in trials.values()]


@pytest.mark.parametrize("points", [0, 1, 4])
def test_the_gain_is_the_mean_growth_of_the_hypervolume(points: int) -> None:
    random = np.random.default_rng(points)
    axis, value = random.uniform(0, 1, points), random.uniform(0.3, 1, points)
    front, worst = staircase(axis, value), (1.2, 0.2)
    mean, deviation, place = np.array([0.6, 0.9, 0.1]), np.array([0.2, 1e-9, 0.3]), np.array([0.5, 0.05, 1.1])

    def volume(points: Any) -> float:
        return float(moocore.hypervolume(np.reshape(points, (-1, 2)) * [1, -1], ref=[worst[0], -worst[1]]))

    found = expected_gain(mean, deviation, place, front, worst)
    before = volume(front) if len(front) else 0.0
    for candidate in range(3):
        drawn = random.normal(mean[candidate], deviation[candidate], 3000)
        grown = [volume([*front, (place[candidate], height)]) - before for height in drawn]
        error = np.std(grown) / len(grown) ** 0.5
        assert found[candidate] == pytest.approx(np.mean(grown), abs=4 * error + 1e-6)


def test_a_staircase_has_the_points_that_no_other_beats() -> None:
    assert staircase([3, 1, 2, 1], [0.5, 0.2, 0.5, 0.1]).tolist() == [[1, 0.2], [2, 0.5]]


def test_what_a_trial_does_not_have_is_told_from_every_value() -> None:
    points = [next(SPACE.sample(seed)) for seed in range(20)]
    texts = [{name: distribution_to_json(of) for name, of in point.distributions.items()} for point in points]
    encoded = Encoding(texts)([point.parameters for point in points])
    size = "memory.queue.size"
    column = next(c for c in range(encoded.shape[1]) if _is_column(encoded[:, c], points, size))
    without = [encoded[place, column] for place, point in enumerate(points) if size not in point.parameters]
    assert set(without) == {-1.0}


def _is_column(column: Any, points: list[Point], name: str) -> bool:
    return all(
        np.isclose(value, np.log(point.parameters[name] / 64) / np.log(512 / 64))
        for value, point in zip(column, points, strict=True)
        if name in point.parameters
    )


X = Encoding([{"x": '{"name": "FloatDistribution", "attributes": {"low": 0, "high": 1, "log": false}}'}])


def test_the_model_answers_for_the_end_and_learns_from_rungs() -> None:
    """Values grow with the share trained: what was seen of a half says something of the order, not of the height."""
    seen = [({"x": x}, fidelity, x * fidelity) for x in np.linspace(0, 1, 30) for fidelity in (0.5, 1.0)]
    parameters, fidelities, values = map(list, zip(*seen, strict=True))
    model = Surrogate(X, parameters, fidelities, values, seed=0)
    mean, deviation = model([{"x": 0.9}, {"x": 0.1}])
    assert mean == pytest.approx([0.9, 0.1], abs=0.1)
    assert (deviation > 0).all()


def test_what_is_smooth_is_seen_sooner_than_by_a_forest_alone() -> None:
    seen, between = np.linspace(0, 1, 12), np.linspace(0.05, 0.95, 11)
    model = Surrogate(X, [{"x": x} for x in seen], [1.0] * 12, list(np.sin(3 * seen)), seed=0)
    mean, _ = model([{"x": x} for x in between])
    alone = model._forest.predict(np.column_stack([between, np.zeros(11)]))
    assert np.abs(mean - np.sin(3 * between)).mean() < 0.7 * np.abs(alone - np.sin(3 * between)).mean()


def test_little_is_known_where_the_models_disagree() -> None:
    """Beyond what was seen a forest goes on as it ended, and the process returns to the mean."""
    model = Surrogate(X, [{"x": x} for x in np.linspace(0, 0.5, 20)], [1.0] * 20, list(np.linspace(0, 1, 20)), seed=0)
    _, deviation = model([{"x": 0.25}, {"x": 1.0}])
    assert deviation[1] > 3 * deviation[0]


def test_the_process_is_told_the_newest_of_many_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.search.surrogate._TOLD", 20)
    model = Surrogate(X, [{"x": x} for x in np.linspace(0, 1, 50)], [1.0] * 50, [0.0] * 30 + [1.0] * 20, seed=0)
    assert model._process.X_train_[:, 0] == pytest.approx(np.linspace(0, 1, 50)[30:])
    assert model._process.predict([[0.0, 0.0]]) == pytest.approx([1.0])


def test_a_restarted_search_goes_on_as_if_nothing_had_happened() -> None:
    expected = serial({}, 20)
    for cut in (0, 4, 13):
        trials: dict[int, Trial] = {}
        serial(trials, cut)
        assert serial(trials, 20) == expected


def test_it_repeats_nothing_and_finds_more_for_its_cost_than_chance() -> None:
    trials: dict[int, Trial] = {}
    configs = serial(trials, 40)
    assert len({trial.config_digest for trial in trials.values()}) == 40
    drawn = [point.config for _, point in zip(range(40), SPACE.sample(1), strict=False)]
    ours, chance = ([_price(config) for config in some] for some in (configs, drawn))
    assert sum(ours) < sum(chance), "cheap ones are tried more often"
    assert _volume(configs) > _volume(drawn)


def test_what_is_known_to_be_refused_is_not_drawn_and_what_is_measured_is_learned() -> None:
    small = serial({}, 20, may_train=lambda config: config["batch_size"] == 32)
    assert {config["batch_size"] for config in small} == {32}
    learned = serial({}, 30, constraints={"batch": Bound(at_most=40)})[10:]
    assert sum(config["batch_size"] == 32 for config in learned) > 15
    search = search_for(SPACE, GOALS, CostAware(candidates=3), {}, lambda _: False, {})
    assert search.ask(0) is None


def test_one_goal_alone_is_enough() -> None:
    configs = serial({}, 30, goals={"accuracy": "maximize"})
    assert max(map(accuracy, configs[6:])) > max(map(accuracy, configs[:6]))


def test_a_measure_that_is_minimised_is_the_same_the_other_way_round() -> None:
    trials: dict[int, Trial] = {}
    serial(trials, 8)
    mirrored = {number: _mirrored(trial) for number, trial in trials.items()}
    config = CostAware(startup_trials=2, candidates=20)
    least = CostAwareChoice(SPACE, {"accuracy": "minimize"}, config, known=mirrored)
    most = CostAwareChoice(SPACE, {"accuracy": "maximize"}, config, known=trials)
    assert least(8) == most(8)
    assert trials[0].metrics["accuracy"] == -mirrored[0].metrics["accuracy"]


def _mirrored(trial: Trial) -> Trial:
    reports = {
        rung: report.model_copy(update={"metrics": {"accuracy": -report.metrics["accuracy"]}})
        for rung, report in trial.reports.items()
    }
    metrics = trial.metrics | ({"accuracy": -trial.metrics["accuracy"]} if trial.metrics else {})
    return Trial(**{**vars(trial), "reports": reports, "metrics": metrics})


def _price(config: dict[str, Any]) -> float:
    return planned_metrics(TrialConfig.model_validate(config))[COST_S]


def _volume(configs: list[dict[str, Any]]) -> float:
    points = [(np.log(_price(config)), -accuracy(config)) for config in configs]
    return float(moocore.hypervolume(np.array(points), ref=[0.0, 1.0]))
