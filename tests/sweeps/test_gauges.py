"""What a sweep exports: values of hand-made histories, and a scrape of what Ray offers of a sweep that runs."""

import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import ray

from search_spaces.sweep_file import SweepFile
from sweeps.events import Event
from sweeps.gauges import GAUGES, Gauges, readings
from sweeps.ledger.history import History
from sweeps.slots.cluster import start_ray
from tests.dashboards.test_grafana import queries
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke

START = datetime(2026, 1, 1, tzinfo=UTC)


def told(*overrides: str, events: list[Event], minutes: float = 0.0, slots: int = 4) -> dict[tuple[str, str], float]:
    """What is exported when the last of these events, one a minute, is so many minutes ago."""
    history = History()
    for seq, event in enumerate(events, start=1):
        history.apply(seq, START + timedelta(minutes=seq), event)
    file: SweepFile = smoke(*overrides).file
    now = START + timedelta(minutes=len(events) + minutes)
    return {(name, label): value for name, label, value in readings(history, file, slots, now)}


def complete(number: int, accuracy: float, cost: float) -> list[Event]:
    return [stories.planned(number, cost), stories.started(number), stories.ended(number, transfer__knn_top1=accuracy)]


def test_states_and_idle_slots_are_those_of_now() -> None:
    events = [stories.opened(), *complete(0, 0.5, 1.0), stories.planned(1), stories.started(1), stories.planned(2)]
    found = told(events=events)
    states = {label: value for (name, label), value in found.items() if name == "sweeps_trials"}
    assert states == {"waiting": 1, "running": 1, "complete": 1, "pruned": 0, "failed": 0}
    assert found["sweeps_slot_idle_share", ""] == 0.75
    assert found["sweeps_train_flops", ""] == 3 * 0.25e9, "each may train to its first rung"


def test_the_hypervolume_is_that_of_the_front_up_to_the_worst_of_the_first_trials() -> None:
    events = [stories.opened(), *complete(0, 0.5, 4.0), *complete(1, 0.2, 1.0)]
    for number in range(2, 10):
        assert told(events=events)["sweeps_hypervolume", ""] == 0.0, "too few to measure from"
        events += complete(number, 0.1, 2.0)
    found = told(events=events)
    # worst: accuracy 0.1 and cost 4; the front is (0.2, 1), (0.5, 4), and the second lies on its edge
    assert found["sweeps_front_points", ""] == 2
    assert found["sweeps_hypervolume", ""] == pytest.approx((0.2 - 0.1) * (4.0 - 1.0))
    assert told(events=[stories.opened()])["sweeps_hypervolume", ""] == 0.0


def test_trials_per_hour_are_those_of_the_last_hour_of_this_session() -> None:
    events = [stories.opened(), *complete(0, 0.5, 1.0), *complete(1, 0.5, 1.0)]
    assert told(events=events, minutes=6.0)["sweeps_trials_per_hour", ""] == pytest.approx(2 / (12 / 60))
    assert told(events=events, minutes=58.0)["sweeps_trials_per_hour", ""] == pytest.approx(1.0), "one ended before"
    again = [*events, stories.opened(fence=2)]
    assert told(events=again, minutes=6.0)["sweeps_trials_per_hour", ""] == 0.0


def test_what_is_left_is_told_of_every_cap() -> None:
    events = [stories.opened(), *complete(0, 0.5, 1.0)]
    found = told("budget={trials: 8, wall_hours: 2}", events=events, minutes=60.0 - 3)
    assert {label: value for (name, label), value in found.items() if name == "sweeps_budget"} == {
        "trials": 8,
        "wall_hours": 2,
    }
    assert found["sweeps_budget_left", "trials"] == 7
    assert found["sweeps_budget_left", "wall_hours"] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def one_node() -> Iterator[str]:
    """A Ray as a sweep starts it, without a dashboard; where its node's metrics agent answers."""
    ray.shutdown()  # what tests of slots left
    start_ray(cpus=1)
    [node] = ray.nodes()
    yield f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
    ray.shutdown()


def scraped(url: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Labels and values by metric, in Prometheus' text format."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in re.findall(r"^(\w+){(.*)} (\S+)$", text, re.MULTILINE):
        found.setdefault(name, []).append((dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)))
    return found


def asked_for(found: dict[str, Any]) -> set[str]:
    return {name for query in queries() for name in re.findall(r"ray_sweeps_\w+", query)} - found.keys()


def test_a_scrape_of_a_sweep_answers_every_query_of_the_dashboard(one_node: str, tmp_path: Path) -> None:
    loaded, slot = smoke("budget={trials: 3, cost_s: 100}"), PlainSlot(formula)
    with driving(tmp_path, loaded, slot) as driver:
        gauges = Gauges("scraped", driver.ledger.history, loaded.file, 1)
        while (job := driver.next_trial()) is not None:
            slot.run(driver, job)
        gauges.tell()
        wanted = list(readings(driver.ledger.history, loaded.file, 1, datetime.now(UTC)))
        deadline = time.monotonic() + 60  # Ray sends what was set every few seconds
        while missing := asked_for(found := scraped(one_node)):
            assert time.monotonic() < deadline, f"never exported: {missing}"
            time.sleep(0.5)
    for name, label, value in wanted:
        own = GAUGES[name][1]
        mine = [
            at
            for labels, at in found[f"ray_{name}"]
            if labels["sweep"] == "scraped" and (not own or labels[own] == label)
        ]
        if name not in ("sweeps_trials_per_hour",):  # which goes on with the clock
            assert mine == [pytest.approx(value)], (name, label)
