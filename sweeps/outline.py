"""What a sweep file would run, said before anything runs."""

import re
from collections.abc import Sequence
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from search_spaces.draws import RandomDraw
from search_spaces.nodes import Leaf, Range
from search_spaces.policies import Grid
from search_spaces.sweep_file import LoadedSweep
from sweeps.tables import quantity
from trainables.compute import planned_metrics
from trainables.config import TrialConfig

_SAMPLE = 100


def outline(loaded: LoadedSweep) -> dict[str, Any]:
    """The sweep as plain values: what varies, what it aims at, and what a trial of it costs.

    The least and most of each planned metric are those of the corners of the space and of a random sample.
    """
    file = loaded.file
    corners = [TrialConfig.model_validate(tree) for tree in loaded.space.corners()]
    sample = _random_trials(loaded)
    planned = [planned_metrics(config, file.budget.trials or 1) for config in (*corners, *sample)]
    return {
        "name": file.name,
        "digest": loaded.digest,
        "varies": {leaf.parameter: _written(leaf) for leaf in loaded.space.leaves},
        "goals": file.goals,
        "search": file.search.to_json(),
        "stop": file.stop.to_json(),
        "trials": most_trials(loaded),
        "resources": file.resources.to_json(),
        "compute_least": {metric: min(metrics[metric] for metrics in planned) for metric in planned[0]},
        "compute_most": {metric: max(metrics[metric] for metrics in planned) for metric in planned[0]},
        "cautions": _cautions(sample),
    }


def cautions(loaded: LoadedSweep) -> list[str]:
    """What is allowed but hardly meant: an example of each kind, and in how many trials of a random sample."""
    return _cautions(_random_trials(loaded))


def _random_trials(loaded: LoadedSweep) -> list[TrialConfig]:
    draw = RandomDraw(0)
    return [TrialConfig.model_validate(loaded.space.suggest(draw)) for _ in range(_SAMPLE)]


def _cautions(sample: Sequence[TrialConfig]) -> list[str]:
    found = [caution for config in sample for caution in config.cautions()]
    kinds = [re.sub(r"\d[\d.]*", "#", caution) for caution in found]  # the same but for its numbers
    return [
        f"in {kinds.count(kind)} of {_SAMPLE} random trials: {found[kinds.index(kind)]}"
        for kind in dict.fromkeys(kinds)
    ]


def outline_table(described: dict[str, Any]) -> RenderableType:
    """The same for people."""
    varies = Table("parameter", "range", title=f"{described['name']}: valid, nothing was started", title_justify="left")
    for parameter, written in described["varies"].items():
        varies.add_row(parameter, escape(yaml.safe_dump(written, default_flow_style=True, width=1000).strip()))
    least, most = described["compute_least"], described["compute_most"]
    plan = Table.grid(padding=(0, 2))
    plan.add_row("goals", ", ".join(f"{way} {goal}" for goal, way in described["goals"].items()))
    plan.add_row(
        "search", f"{described['search']['name']}, {described['trials']} trials, stop: {described['stop']['name']}"
    )
    for metric in least:
        low, high = quantity(metric, least[metric]), quantity(metric, most[metric])
        plan.add_row(metric, f"{low} a trial" if low == high else f"about {low} to {high} a trial")
    for caution in described["cautions"]:
        plan.add_row("caution", caution)
    return Group(varies, plan)


def _written(leaf: Leaf) -> Any:
    return leaf.written if isinstance(leaf, Range) else {"choice": list(leaf.ends)}


def most_trials(loaded: LoadedSweep) -> int | None:
    """At most so many; None where something else than their number ends the sweep."""
    budget, search = loaded.file.budget.trials, loaded.file.search
    points = loaded.space.size(search.points) if isinstance(search, Grid) else None
    return min((limit for limit in (budget, points) if limit is not None), default=None)
