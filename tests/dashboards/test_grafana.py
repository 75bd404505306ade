"""Grafana's dashboard against Grafana's own model of one, and its queries against what a sweep exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from sweeps.gauges import GAUGES

DASHBOARD = json.loads(Path("dashboards/grafana/sweep.json").read_text())


def queries() -> list[str]:
    variables = [each["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    return variables + [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """What Grafana's model does not know, or takes for something else; what it adds are defaults."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from lost(value, after.get(name), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{path}[{place}]")
    elif before != after:
        yield f"{path}: {before} became {after}"


def test_grafanas_own_model_reads_every_field() -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
    assert list(lost(DASHBOARD, read)) == []


def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24


def test_every_gauge_is_drawn_and_nothing_else_is_asked_for() -> None:
    asked = {name for query in queries() for name in re.findall(r"ray_(sweeps_\w+)", query)}
    assert asked == set(GAUGES)


def test_queries_use_labels_that_the_gauges_have() -> None:
    for query in queries():
        own = {label for name in re.findall(r"ray_(sweeps_\w+)", query) if (label := GAUGES[name][1])}
        grouped = [label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")]
        matched = [label for group in re.findall(r"{([^}]*)}", query) for label in re.findall(r"(\w+)=", group)]
        assert {*grouped, *matched} <= {"sweep", *own}, query
