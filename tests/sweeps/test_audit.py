"""What a ledger says follows from itself: an audit of real drivers finds it so, and of forged events what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeps.audit import Audit, audit
from sweeps.cli import app
from sweeps.events import Event, Planned, Reported
from sweeps.ledger.store import Ledger
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.simulated_cluster import Cluster, Odds
from tests.sweeps.test_caps import DEAREST
from tests.sweeps.test_driver import run_out

SEARCHES = [
    "tpe, startup_trials: 3, seed: 5",
    "random, seed: 5",
    "grid, points: 3",
    "cost_aware, startup_trials: 3, candidates: 20, seed: 5",
]
TRIALS = 16


def audited(folder: Path) -> Audit:
    with Ledger.open(folder) as ledger:
        return audit(ledger)


def planned(folder: Path) -> list[tuple[int, Planned]]:
    with Ledger.open(folder) as ledger:
        return [(seq, event) for seq, _, event in ledger.events() if isinstance(event, Planned)]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_serial_sweep_that_was_taken_over_is_as_it_should_be(tmp_path: Path, search: str) -> None:
    loaded = smoke(f"budget.trials={TRIALS}", f"search={{name: {search}}}")
    slot = PlainSlot(formula)
    with driving(tmp_path, loaded, slot) as driver:
        run_out(driver, slot, 5)
        driver.next_trial()
    with driving(tmp_path, loaded, slot) as driver:
        run_out(driver, slot)
    found = audited(tmp_path)
    assert found.differences == []
    assert (found.suggestions, found.plans, found.passed) == (TRIALS, TRIALS, True)
    assert found.verdicts >= TRIALS


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("seed", range(2))
def test_so_is_a_parallel_one_whose_drivers_and_workers_died(tmp_path: Path, search: str, seed: int) -> None:
    loaded = smoke(
        f"budget={{trials: {TRIALS}}}",
        f"search={{name: {search}}}",
        "constraints={compute/peak_bytes: {at_most: 1.0e9}, transfer/knn_top1: {at_least: 0.1}}",
    )
    cluster = Cluster(loaded, tmp_path, slots=3, odds=Odds(0.03, 0.05, 0.05), seed=seed)
    while cluster.session() is None:
        pass
    found = audited(tmp_path)
    assert found.differences == []
    assert found.suggestions == len(planned(tmp_path)) == TRIALS
    assert cluster.sessions > 1, "no driver died"


def test_a_suggestion_that_waited_for_room_is_asked_for_when_it_was(tmp_path: Path) -> None:
    loaded = smoke(f"budget={{cost_s: {10 * DEAREST!r}}}", "search={name: tpe, startup_trials: 2, seed: 1}")
    cluster = Cluster(loaded, tmp_path, slots=3, odds=Odds(), seed=1)
    assert cluster.session()
    assert any(event.told < seq - 1 for seq, event in planned(tmp_path)), "none waited"
    found = audited(tmp_path)
    assert found.differences == []
    assert found.suggestions == len(planned(tmp_path))


def forged(folder: Path, to: Path, change: Callable[[Event], Event]) -> Audit:
    """The audit of a ledger in which events are others, and which knows of no change."""
    with Ledger.open(folder) as true, Ledger.create(to, true.sweep, true.spec) as false:
        false.claim()
        for _, _, event in true.events():
            false.append(change(event))
    return audited(to)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("results")
    slot = PlainSlot(formula)
    with driving(storage / "swept", smoke("budget.trials=12"), slot) as driver:
        run_out(driver, slot)
    return storage / "swept"


def test_another_suggestion_is_named_with_its_parameter_and_the_others_still_stand(swept: Path, tmp_path: Path) -> None:
    (true,) = (event for _, event in planned(swept) if event.trial == 6)

    def change(event: Event) -> Event:
        if not isinstance(event, Planned) or event.trial != 6:
            return event
        return event.model_copy(update={"parameters": {**event.parameters, "objective.temperature": 0.25}})

    found = forged(swept, tmp_path, change)
    (difference,) = [each for each in found.differences if each.trial == 6]
    assert difference.what == "parameters.objective.temperature"
    assert (difference.recorded, difference.recomputed) == (0.25, true.parameters["objective.temperature"])
    # Those after it were made by a search that knew the true one, and may differ; those before cannot.
    assert {each.trial for each in found.differences} <= set(range(6, 12))
    assert found.suggestions == 12


def test_another_verdict_cost_digest_or_history_is_named(swept: Path, tmp_path: Path) -> None:
    def change(event: Event) -> Event:
        if isinstance(event, Reported) and (event.trial, event.rung) == (4, 0):
            return event.model_copy(update={"verdict": "stop" if event.verdict == "continue" else "continue"})
        if isinstance(event, Planned) and event.trial == 2:
            return event.model_copy(update={"compute": {**event.compute, "compute/cost_s": 1e-9}})
        if isinstance(event, Planned) and event.trial == 8:
            return event.model_copy(update={"told": event.told - 6, "config_digest": "0" * 64})
        return event

    named = {(each.trial, each.what) for each in forged(swept, tmp_path, change).differences}
    assert {(4, "verdict at rung 0"), (2, "compute/cost_s"), (8, "config digest"), (8, "told")} <= named


def test_the_command_says_what_was_computed_and_leaves_with_6_where_it_differs(swept: Path, tmp_path: Path) -> None:
    def invoke(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", *arguments])
        return done.exit_code, done.stdout

    code, said = invoke("swept", "--storage", str(swept.parent))
    assert code == 0
    assert "12 suggestions, 12 plans and" in said
    assert "all as recorded" in said
    forged(swept, tmp_path / "forged", lambda e: e.model_copy(update={"told": 1}) if e.key == "planned/3" else e)
    code, said = invoke("forged", "--storage", str(tmp_path))
    assert code == 6
    assert "trial 3: told is 'event 1'" in said
    code, said = invoke("forged", "--storage", str(tmp_path), "--json")
    assert code == 6
    assert json.loads(said)["passed"] is False


def test_nsga2_promises_nothing_and_the_rest_is_computed(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    loaded = smoke("budget.trials=8", "search={name: nsga2, population: 4, seed: 0}")
    with driving(tmp_path / "swept", loaded, slot) as driver:
        run_out(driver, slot)
    found = audited(tmp_path / "swept")
    assert (found.promised, found.passed, found.suggestions, found.plans) == (False, True, 0, 8)
    said = CliRunner().invoke(app, ["audit", "swept", "--storage", str(tmp_path)]).stdout
    assert "nsga2 does not promise" in said
