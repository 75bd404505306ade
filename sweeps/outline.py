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
from search_spaces.sweep_file import LoadedSweep, SweepFile
from sweeps.constraints import planned
from sweeps.search.planning import planned_compute
from sweeps.search.study import DRAWS
from sweeps.spending import MODELLED
from sweeps.tables import quantity
from trainables.config import TrialConfig

_SAMPLE = 100


def outline(loaded: LoadedSweep) -> dict[str, Any]:
    """The sweep as plain values: what varies, what it aims at, and what a trial of it costs.

    The least and most of each planned metric are those of the corners of the space and of a random sample.
    """
    file = loaded.file
    corners = [TrialConfig.model_validate(tree) for tree in loaded.space.corners()]
    sample = _random_trials(loaded)
    computes = [planned_compute(config, file) for config in (*corners, *sample)]
    least = {metric: min(metrics[metric] for metrics in computes) for metric in computes[0]}
    most = {metric: max(metrics[metric] for metrics in computes) for metric in computes[0]}
    return {
        "name": file.name,
        "digest": loaded.digest,
        "varies": {leaf.parameter: _written(leaf) for leaf in loaded.space.leaves},
        "goals": file.goals,
        "constraints": {metric: bound.model_dump(exclude_none=True) for metric, bound in file.constraints.items()},
        "search": file.search.to_json(),
        "stop": file.stop.to_json(),
        "trials": most_trials(loaded),
        "budget": file.budget.model_dump(exclude_none=True),
        "resources": file.resources.to_json(),
        "compute_least": least,
        "compute_most": most,
        "cautions": [*_lone(loaded), *_cautions(sample), *_cut(file, sample)],
    }


def cautions(loaded: LoadedSweep) -> list[str]:
    """What is allowed but hardly meant: an example of each kind, and in how many trials of a random sample."""
    sample = _random_trials(loaded)
    return [*_lone(loaded), *_cautions(sample), *_cut(loaded.file, sample)]


def _random_trials(loaded: LoadedSweep) -> list[TrialConfig]:
    draw = RandomDraw(0)
    return [TrialConfig.model_validate(loaded.space.suggest(draw)) for _ in range(_SAMPLE)]


def _lone(loaded: LoadedSweep) -> list[str]:
    if loaded.space.leaves or most_trials(loaded) == 1:
        return []
    return [
        "nothing varies, so every trial is the same one; give a part a range or a choice, or write budget.trials: 1"
    ]


def _cautions(sample: Sequence[TrialConfig]) -> list[str]:
    found = [caution for config in sample for caution in config.cautions()]
    kinds = [re.sub(r"\d[\d.]*", "#", caution) for caution in found]  # the same but for its numbers
    return [
        f"in {kinds.count(kind)} of {_SAMPLE} random trials: {found[kinds.index(kind)]}"
        for kind in dict.fromkeys(kinds)
    ]


def _cut(file: SweepFile, sample: Sequence[TrialConfig]) -> list[str]:
    """What the constraints and the budget cut off a random sample before anything is trained."""
    found, computes = [], [planned_compute(config, file) for config in sample]
    for metric, bound in planned(file.constraints).items():
        broken = sum(bound.excess(compute[metric]) > 0 for compute in computes)
        if broken:
            written = ", ".join(f"{side} {value:g}" for side, value in bound.model_dump(exclude_none=True).items())
            found.append(
                f"in {broken} of {_SAMPLE} random trials {metric} is not {written}: such trials are drawn again, up to "
                f"{DRAWS} times, and never trained"
            )
    for cap, limit in file.budget.caps().items():
        beyond = sum(compute[MODELLED[cap]] > limit for compute in computes) if cap in MODELLED else 0
        if beyond:
            found.append(
                f"{beyond} of {_SAMPLE} random trials need more than all of budget.{cap}: the sweep ends where one of "
                "them is suggested; raise the budget, or narrow the space"
            )
    return found


def outline_table(described: dict[str, Any]) -> RenderableType:
    """The same for people."""
    varies = Table("parameter", "range", title=f"{described['name']}: valid, nothing was started", title_justify="left")
    for parameter, written in described["varies"].items():
        varies.add_row(parameter, escape(yaml.safe_dump(written, default_flow_style=True, width=1000).strip()))
    least, most = described["compute_least"], described["compute_most"]
    plan = Table.grid(padding=(0, 2))
    plan.add_row("goals", ", ".join(f"{way} {goal}" for goal, way in described["goals"].items()))
    for metric, bound in described["constraints"].items():
        plan.add_row("constraint", f"{metric} {', '.join(f'{side} {value:g}' for side, value in bound.items())}")
    trials = "" if described["trials"] is None else f"{described['trials']} trials, "
    plan.add_row("search", f"{described['search']['name']}, {trials}stop: {described['stop']['name']}")
    plan.add_row("budget", ", ".join(f"{cap} {limit:g}" for cap, limit in described["budget"].items()))
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
