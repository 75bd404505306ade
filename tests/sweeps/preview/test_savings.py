"""The simulation of stopping: the sweep's own rule on drawn values."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from sweeps.preview import correlations
from sweeps.preview.correlations import rung_correlations
from sweeps.preview.foresight import foresee
from sweeps.preview.savings import _values, share_spent, simulate
from sweeps.preview.spans import Span
from tests.sweeps.plain_slot import smoke
from tests.trainables.trials import small_trial
from trainables.metrics import COST_S
from trainables.optimizer import Optimizer

GRID = ("search={name: random, seed: 1}", "budget.trials=60", "trial.rungs=3")


def spent(*overrides: str) -> Span:
    loaded = smoke(*GRID, *overrides)
    simulation = simulate(loaded.file, foresee(loaded).known)
    full = [trial.compute[COST_S] for trial in simulation.trials]
    stopped = [[cost * share for cost, share in zip(full, each, strict=True)] for each in simulation.repeats]
    for fidelities in simulation.repeats:
        assert set(fidelities) <= {4 / 12, 8 / 12, 1.0}
    return share_spent(simulation, full, stopped)


def test_without_a_rule_nothing_is_saved() -> None:
    assert spent("stop={name: none}") == Span.exactly(1.0)


def test_a_stricter_rule_saves_more_and_none_stops_before_the_first_rung() -> None:
    strict, mild = spent("stop={name: non_dominated, keep: 0.2}"), spent("stop={name: non_dominated, keep: 0.8}")
    assert strict.least > 1 / 3
    assert strict.most < mild.least
    assert mild.most < 1


def test_goals_that_are_planned_compute_take_no_chance() -> None:
    by_cost = spent("goals={compute/cost_s: minimize}", "stop={name: non_dominated, keep: 0.5, minimum: 2}")
    assert by_cost.least == pytest.approx(by_cost.most, abs=1e-12)


@pytest.mark.parametrize("rank", [0.0, 0.4, 0.9, 1.0])
def test_values_at_rungs_correlate_with_a_common_end_as_asked(rank: float) -> None:
    random = np.random.default_rng(0)
    drawn = np.array([_values([rank, 1.0], 1, random)[:, 0] for _ in range(4000)])
    assert spearmanr(drawn[:, 0], drawn[:, 1]).statistic == pytest.approx(rank, abs=0.05)


def test_what_nobody_measured_is_anything_and_what_was_measured_is_read_between_its_points(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = small_trial(optimizer=Optimizer(schedule="cosine"), steps=12, rungs=4)
    monkeypatch.setattr(correlations, "MEASURED", {})
    assert rung_correlations(config) == [(0.0, 1.0)] * 3
    monkeypatch.setattr(correlations, "MEASURED", {("cosine", False): {0.25: 0.2, 0.5: 0.6}})
    assert [low for low, _ in rung_correlations(config)] == pytest.approx([0.2, 0.6, 0.8])
    assert all(low == high for low, high in rung_correlations(config))
