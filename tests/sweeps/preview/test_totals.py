"""What a preview says of a sweep's trials and their compute, against sweeps that the driver ran."""

import json
import math
from pathlib import Path

import pytest

from search_spaces.sweep_file import LoadedSweep, load
from sweeps.ledger.history import History
from sweeps.preview.foresight import Foresight, foresee
from sweeps.preview.spans import Span
from sweeps.preview.totals import allowed, total
from sweeps.tables import cost_so_far
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_cli import invoke
from tests.sweeps.test_driver import run_out
from trainables.metrics import COST_S, FLOPS, PLANNED_METRICS

ALL = Span.exactly(1.0)
WIDTHS = "trial.student.width={choice: [2, 3]}"


def swept(folder: Path, loaded: LoadedSweep, at_once: int = 1) -> History:
    slot = PlainSlot(formula)
    with driving(folder, loaded, slot, at_once) as driver:
        run_out(driver, slot)
        return driver.ledger.history


def total_of(foresight: Foresight, metric: str) -> Span:
    return total(foresight, metric, Span.exactly(len(foresight.known)), ALL)


@pytest.mark.parametrize(
    "search",
    ["{name: random, seed: 5}", "{name: grid, points: 3}", "{name: grid, points: 2}"],
)
def test_of_random_and_grid_the_total_is_what_the_finished_sweep_reports(tmp_path: Path, search: str) -> None:
    loaded = smoke(f"search={search}", "stop={name: none}", "budget.trials=40", WIDTHS)
    foresight = foresee(loaded)
    history = swept(tmp_path / "swept", loaded)
    assert foresight.all_known
    assert [trial.config.to_json() for trial in foresight.known] == [t.config for t in history.trials.values()]
    assert total_of(foresight, COST_S) == Span.exactly(cost_so_far(history))
    flops = math.fsum(trial.compute[FLOPS] for trial in history.trials.values())
    assert total_of(foresight, FLOPS) == Span.exactly(flops)
    status = json.loads(invoke("status", "--storage", tmp_path, "--json").stdout)
    assert total_of(foresight, COST_S).likely == status["cost_s"]


@pytest.mark.parametrize(
    ("search", "known"), [("{name: tpe, seed: 2, startup_trials: 7}", 7), ("{name: nsga2, seed: 2, population: 6}", 6)]
)
def test_the_first_trials_of_a_search_that_learns_are_known(tmp_path: Path, search: str, known: int) -> None:
    loaded = smoke(f"search={search}", "budget.trials=20", WIDTHS)
    foresight = foresee(loaded)
    history = swept(tmp_path, loaded)
    assert not foresight.all_known
    assert len(foresight.known) == known
    assert [trial.config.to_json() for trial in foresight.known] == [history.trials[n].config for n in range(known)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("search", ["tpe", "nsga2", "random"])
def test_a_sweep_with_stopping_ends_within_the_range(tmp_path: Path, search: str, seed: int) -> None:
    loaded = smoke(f"search={{name: {search}, seed: {seed}}}", "budget.trials=30", WIDTHS)
    history = swept(tmp_path, loaded)
    assert history.counts()["pruned"]
    span = total(foresee(loaded), COST_S, Span.exactly(30), Span(0.5, 0.75, 1.0))
    assert span.least < cost_so_far(history) < span.most


def test_the_ends_of_a_trial_hold_combinations_that_no_corner_has() -> None:
    tradeoff = load(Path("search_spaces/tradeoff.yaml"), ["budget.trials=1", "search={name: random}"])
    foresight = foresee(tradeoff)
    corners = [trial.compute for trial in foresight.corners]
    for metric in PLANNED_METRICS:
        assert foresight.least[metric] <= min(compute[metric] for compute in corners)
        assert foresight.most[metric] >= max(compute[metric] for compute in corners)
    two_choices = load(
        Path("search_spaces/smoke.yaml"),
        [
            "trial.student.width={choice: [4, 2, 6]}",
            "trial.memory={choice: [{name: bank, size: 64}, {name: in_batch}, {name: queue, size: 1083}]}",
            "trial.negatives={name: uniform, count: 4}",
            "trial.embedding={choice: [8, 4, 32, 16]}",
        ],
    )
    found = foresee(two_choices)
    assert found.least[COST_S] < min(trial.compute[COST_S] for trial in found.corners)


def test_a_cap_on_cost_allows_the_trials_that_fit_in_their_order() -> None:
    foresight = foresee(smoke("search={name: random, seed: 1}", "budget={trials: 50}", WIDTHS))
    costs = [trial.compute[COST_S] for trial in foresight.known]
    cap = math.fsum(costs[:17]) + costs[17] / 2
    assert allowed(foresight, COST_S, cap, ALL) == Span.exactly(17)
    assert allowed(foresight, COST_S, 2 * math.fsum(costs), ALL) == Span.exactly(math.inf)
    stopped = allowed(foresight, COST_S, cap, Span(0.5, 0.75, 1.0))
    assert stopped.least == 17
    assert stopped.least < stopped.likely < stopped.most


def test_a_cap_on_a_search_that_learns_allows_a_range() -> None:
    foresight = foresee(smoke("budget={trials: 1000}", WIDTHS))
    cap = 100 * foresight.most[COST_S]
    span = allowed(foresight, COST_S, cap, ALL)
    assert 100 <= span.least < span.likely < span.most
    dearest = total(foresight, COST_S, Span.exactly(span.least), ALL)
    assert dearest.most <= cap < total(foresight, COST_S, Span.exactly(span.least + 1), ALL).most


def test_a_random_sweep_without_a_number_of_trials_is_bounded_by_its_cap() -> None:
    foresight = foresee(smoke("search={name: random}", "budget={cost_s: 0.01}"))
    assert not foresight.all_known
    span = allowed(foresight, COST_S, 0.01, ALL)
    costs = [trial.compute[COST_S] for trial in foresight.known]
    assert span.exact
    assert math.fsum(costs[: int(span.likely)]) <= 0.01 < math.fsum(costs[: int(span.likely) + 1])
