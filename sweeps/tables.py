"""Sweeps as terminal tables: the state of one, its front, one trial."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search_spaces.policies import Budget
from sweeps.constraints import constraints_of, kept
from sweeps.front import Goals, front
from sweeps.ledger.history import TRIAL_STATES, History, TrialRecord
from sweeps.spending import in_force, seconds_left, used
from trainables.metrics import (
    BYTES,
    COMMUNICATED_BYTES,
    COST_S,
    DEVICE_SECONDS,
    FLOPS,
    PEAK_BYTES,
    TEACHER_FLOPS,
    TEACHER_FLOPS_AMORTISED,
    collapsed,
    on_test,
)

NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})

#: Stands beside the number of a trial whose features have collapsed.
FLAG = "(collapsed)"

_STATE_STYLES = {"waiting": "dim", "running": "cyan", "complete": "green", "pruned": "yellow", "failed": "red"}

#: Metrics with a unit; the others are shares.
_UNITS = {COST_S: "s", DEVICE_SECONDS: "s", BYTES: "B", PEAK_BYTES: "B", COMMUNICATED_BYTES: "B"}
_UNITS |= dict.fromkeys((FLOPS, TEACHER_FLOPS, TEACHER_FLOPS_AMORTISED), "FLOP")
_PREFIXES = {1e15: "P", 1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k", 1.0: "", 1e-3: "m", 1e-6: "µ", 1e-9: "n"}


def quantity(metric: str, value: float) -> str:
    """A metric's value as people write it: ``0.683``, ``12.1 ms``, ``3.4 GFLOP``."""
    if metric not in _UNITS:
        return f"{value:.3f}"
    scale = next((scale for scale in _PREFIXES if abs(value) >= scale), 1.0)
    return f"{value / scale:.3g} {_PREFIXES[scale]}{_UNITS[metric]}"


def unit(metric: str) -> str:
    """What a metric is counted in; empty for a share."""
    return _UNITS.get(metric, "")


def sweep_panel(sweep: str, history: History, file: Mapping[str, Any], note: str) -> RenderableType:
    """Trials by state, what is used of the budget, the front's size, best values, cost and the time that is left.

    `file` is the sweep's file as its ledger keeps it. The bar is that of the cap which is used up first.
    """
    goals: Goals = file["goals"]
    budget, now = in_force(Budget.model_validate(file["budget"]), history), _now(history)
    counts, spent, caps = history.counts(), used(budget, history, now), budget.caps()
    done = counts["complete"] + counts["pruned"] + counts["failed"]
    spent |= {"trials": float(done)} if "trials" in caps else {}
    first = max(caps, key=lambda cap: spent[cap] / caps[cap])
    states = Text("  ").join(Text(f"{state} {counts[state]}", style=_STATE_STYLES[state]) for state in TRIAL_STATES)
    facts = Table.grid(padding=(0, 2))
    facts.add_row("trials", f"{done} of {budget.trials}" if budget.trials else str(done), states)
    for cap in caps:
        if cap != "trials":
            facts.add_row(cap, f"{spent[cap]:.3g} of {caps[cap]:.3g}", f"{spent[cap] / caps[cap]:.1%} used")
    facts.add_row("", "", ProgressBar(total=caps[first], completed=spent[first], width=60))
    if on_front := front(history.trials.values(), goals, constraints_of(file)):
        facts.add_row("front", str(len(on_front)), _best_values(history, file))
    facts.add_row("cost", quantity(COST_S, cost_so_far(history)), "modelled, on the reference device")
    facts.add_row("time", clock(elapsed(history).total_seconds()), _left(history, done, budget, now))
    return Panel(Group(facts, Text(note, style="dim")), title=sweep, title_align="left")


def trials_table(
    title: str,
    trials: Sequence[TrialRecord],
    goals: Goals,
    varying: Sequence[str],
    first: Mapping[str, Sequence[str]] = NOTHING,
) -> Table:
    """Trials in their order: columns of the caller's own, goals, the test values of the same measures, and what varies.

    A part of which there are several members has one column: the member, and which of its values vary. A trial whose
    features have collapsed is flagged.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("trial", justify="right")
    tests = [on_test(goal) for goal in goals if any(on_test(goal) in trial.metrics for trial in trials)]
    columns = dict.fromkeys(_column(path, varying) for path in varying)
    for name in (*first, *goals, *tests):
        table.add_column(_heading(name), justify="right", no_wrap=True)
    for column in columns:
        member = column not in varying
        table.add_column(_heading(column), justify="left" if member else "right", no_wrap=not member)
    for place, trial in enumerate(trials):
        values = [quantity(name, trial.metrics[name]) if name in trial.metrics else "-" for name in (*goals, *tests)]
        config = flat(trial.config)
        own = [cells[place] for cells in first.values()]
        name = f"{trial.number} {FLAG}" if collapsed(trial.metrics) else str(trial.number)
        table.add_row(name, *own, *values, *(_cell(column, config, varying) for column in columns))
    return table


def _column(path: str, varying: Sequence[str]) -> str:
    """The part of a config that a path belongs to if its member varies, else the path itself."""
    part = path.partition(".")[0]
    return part if f"{part}.name" in varying else path


def _cell(column: str, config: Mapping[str, Any], varying: Sequence[str]) -> str:
    if column in varying:
        return _shown(config.get(column))
    values = [
        f"{path.removeprefix(f'{column}.')} {_shown(config[path])}"
        for path in varying
        if path.startswith(f"{column}.") and path != f"{column}.name" and path in config
    ]
    return f"{config.get(f'{column}.name', '-')}" + (f": {', '.join(values)}" if values else "")


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of a config by dotted path."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def varying(trials: Iterable[TrialRecord]) -> list[str]:
    """The config paths in which those trials differ that have them, in the order of the config."""
    configs = [flat(trial.config) for trial in trials]
    paths = dict.fromkeys(path for config in configs for path in config)
    return [path for path in paths if len({str(config[path]) for config in configs if path in config}) > 1]


def collapsed_trials(history: History) -> dict[int, list[str]]:
    """The trials whose features have collapsed, and on which transfer sets."""
    return {trial.number: sets for trial in history.trials.values() if (sets := collapsed(trial.metrics))}


def cost_so_far(history: History) -> float:
    """Modelled seconds of what was trained, each trial up to where it is; what a new attempt repeats counts once."""
    return math.fsum(trial.compute.get(COST_S, 0.0) * trial.fidelity for trial in history.trials.values())


def elapsed(history: History) -> timedelta:
    """Time that drivers have held the sweep, each until it was last heard of."""
    return sum((session.last_at - session.opened_at for session in history.sessions), timedelta())


def _now(history: History) -> datetime:
    """The time for a sweep that is driven, and the last that was heard of any other."""
    last = history.sessions[-1] if history.sessions else None
    return last.last_at if last and last.closed else datetime.now(UTC)


def _best_values(history: History, file: Mapping[str, Any]) -> str:
    bounds = constraints_of(file)
    complete = [
        trial.metrics for trial in history.trials.values() if trial.state == "complete" and kept(bounds, trial.metrics)
    ]
    best = []
    for goal, way in file["goals"].items():
        values = [metrics[goal] for metrics in complete if goal in metrics]
        if values:
            best.append(f"best {goal} {quantity(goal, min(values) if way == 'minimize' else max(values))}")
    return ", ".join(best)


def _left(history: History, done: int, budget: Budget, now: datetime) -> str:
    if not history.sessions or history.closed:
        return ""
    held = seconds_left(budget, history, now)
    until = f"{clock(max(0.0, held))} until the cap" if math.isfinite(held) else ""
    opened = history.sessions[-1].opened_at
    here = [trial for trial in history.trials.values() if trial.ended and trial.ended >= opened]
    if not here or budget.trials is None:
        started = any(trial.attempts for trial in history.trials.values())
        return until if started else "starting Ray and its workers"
    first = min(attempt.started for trial in here for attempt in trial.attempts if attempt.started >= opened)
    per_trial = (now - first) / len(here)
    left = clock((per_trial * (budget.trials - done)).total_seconds())
    return ", ".join(filter(None, [f"about {left} for all trials", until]))


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _heading(name: str) -> str:
    """A metric or config path broken where it has joints, so that many columns fit beside each other."""
    return name.replace("/", "/\n").replace(".", ".\n")


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
