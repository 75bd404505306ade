"""What happened on the way: learning curves, where the compute went, what was stopped and what failed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboards.frames import Frames, titled
from dashboards.report.style import BAD, FRONT, OTHER, TEST, figure, shown
from sweeps.export.tables import METRICS
from sweeps.tables import quantity
from trainables.metrics import COST_S

_MOST_CURVES = 150


@dataclass(frozen=True)
class Rows:
    """A table of the page."""

    heads: list[str]
    rows: list[list[str]]


def curves_figure(frames: Frames) -> go.Figure | None:
    """The measured goal at each rung of some trials, those of the front over the others; None without a report."""
    metric = METRICS + frames.up
    if metric not in frames.reports or frames.reports[metric].isna().all():
        return None
    trials = frames.trials.set_index("trial")
    numbers = frames.reports["trial"].unique()
    front = [number for number in numbers if trials.at[number, "on_front"]]
    others = [number for number in numbers if number not in set(front)]
    chosen = [others[place] for place in np.linspace(0, len(others) - 1, min(len(others), _MOST_CURVES)).astype(int)]
    traces = []
    for name, group, style in (
        ("not on the front", chosen, {"color": OTHER, "width": 1}),
        ("front", front, {"color": FRONT, "width": 2}),
    ):
        x, y, told = _joined(frames.reports[frames.reports["trial"].isin(group)], metric)
        traces.append(
            go.Scatter(
                x=x,
                y=y,
                customdata=told,
                mode="lines+markers",
                marker={"size": 4},
                line=style,
                name=name,
                opacity=0.5 if group is chosen else 1.0,
                hovertemplate="trial %{customdata}: %{y:.3f} at %{x:.0%}<extra></extra>",
            )
        )
    across = {"title": {"text": "share of the planned training"}, "tickformat": ".0%", "rangemode": "tozero"}
    return figure(*traces, height=380, xaxis=across, yaxis={"title": {"text": titled(frames.up)}, "automargin": True})


def curves_note(frames: Frames) -> str:
    """How many of the trials the learning curves show, where it is not all."""
    others = frames.reports["trial"].nunique() - int(frames.trials["on_front"].sum())
    return f"{_MOST_CURVES} of {others:,} trials off the front are drawn." if others > _MOST_CURVES else ""


def spending(frames: Frames) -> dict[str, float]:
    """Modelled seconds by what became of them; `saved` is what stopped trials were planned to take beyond."""
    trials, spent = frames.trials, frames.trials["trained_cost_s"]
    complete = trials["state"] == "complete"
    ended = trials["state"].isin(["complete", "pruned", "failed"])
    repeated = (trials["begun_cost_s"] - spent).clip(lower=0)[ended & (trials["attempts"] > 1)]
    stopped = trials[trials["state"] == "pruned"]
    return {
        "on the front": float(spent[trials["on_front"]].sum()),
        "complete, off the front": float(spent[complete & ~trials["on_front"]].sum()),
        "stopped early": float(stopped["trained_cost_s"].sum()),
        "failed": float(spent[trials["state"] == "failed"].sum()),
        "under way": float(spent[~ended].sum()),
        "trained again after a loss": float(repeated.sum()),
        "saved": float((frames.metric(stopped, COST_S) - stopped["trained_cost_s"]).sum()),
    }


def spending_figure(frames: Frames) -> go.Figure | None:
    """`spending` as one bar; None before anything was trained."""
    spent = {name: value for name, value in spending(frames).items() if name != "saved" and value > 0}
    if not spent:
        return None
    colours = dict(zip(spending(frames), (FRONT, OTHER, "#7b5ea7", BAD, "#5aa9a3", TEST), strict=False))
    total = sum(spent.values())
    bars = [
        go.Bar(
            x=[value],
            y=[""],
            name=f"{name}: {value / total:.0%}",
            orientation="h",
            marker={"color": colours[name]},
            hovertemplate=f"{name}: {quantity(COST_S, value)} ({value / total:.1%})<extra></extra>",
        )
        for name, value in spent.items()
    ]
    across = {"title": {"text": "modelled time on the reference device [s]"}, "automargin": True}
    return figure(*bars, height=210, barmode="stack", xaxis=across, yaxis={"showticklabels": False})


def failures(frames: Frames) -> Rows:
    """Failed trials by class."""
    failed = frames.trials[frames.trials["state"] == "failed"]
    rows = [
        [
            str(kind),
            str(len(group)),
            quantity(COST_S, group["trained_cost_s"].sum()),
            _numbers(group["trial"]),
            str(group["message"].dropna().iloc[0]) if group["message"].notna().any() else "",
        ]
        for kind, group in failed.groupby("failure", dropna=False)
    ]
    return Rows(["class", "trials", "compute spent", "which", "the first one's message"], rows)


def stops(frames: Frames) -> Rows:
    """What was stopped, rung by rung, beside what went on from there."""
    reports = frames.reports
    if reports.empty:
        return Rows([], [])
    values = frames.metric(reports, frames.up)
    rows = []
    for fidelity, group in reports.assign(value=values).groupby("fidelity"):
        stopped = group[group["verdict"] == "stop"]
        went_on = group[group["verdict"] == "continue"]
        if not stopped.empty:
            rows.append(
                [
                    f"{fidelity:.0%}",
                    str(len(group)),
                    str(len(stopped)),
                    _range(stopped["value"]),
                    _range(went_on["value"]),
                    _numbers(stopped["trial"]),
                ]
            )
    heads = ["trained", "trials that came here", "stopped", f"{frames.up} of these", "of those that went on", "which"]
    return Rows(heads, rows)


def stop_rule(frames: Frames) -> str:
    """Why trials are stopped, in a sentence."""
    stop = frames.about.stop
    match stop.get("name"):
        case "non_dominated":
            return (
                f"At each rung the best {stop['keep']:.0%} of the trials that reached it go on, ranked by "
                f"non-domination on all goals at full cost; nobody is judged before {stop['minimum']} trials have come "
                "there."
            )
        case "asha":
            return f"At each rung the best of {shown(stop['reduction'])} trials goes on, by {frames.up} alone."
        case _:
            return "No trial is stopped early: each is trained to its end."


def _joined(reports: pd.DataFrame, metric: str) -> tuple[list[float | None], list[float | None], list[int | None]]:
    """The curves of several trials as one line with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    told: list[int | None] = []
    for number, group in reports.groupby("trial"):
        x += [*group["fidelity"], None]
        y += [*group[metric], None]
        told += [int(str(number))] * (len(group) + 1)
    return x, y, told


def _numbers(trials: "pd.Series[int]") -> str:
    named = ", ".join(str(number) for number in trials.head(12))
    return f"{named} and {len(trials) - 12:,} more" if len(trials) > 12 else named


def _range(values: "pd.Series[float]") -> str:
    known = values.dropna()
    return f"{known.min():.3f} to {known.max():.3f}" if len(known) else "-"
