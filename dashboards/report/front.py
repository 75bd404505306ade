"""Figures of what compute bought: the front, and what the search covered for what it spent."""

from typing import Any

import plotly.graph_objects as go

from dashboards.frames import Frames, titled
from dashboards.report.style import CONFIRMED, FRONT, OTHER, SCALE, TEST, axis, figure, hover
from sweeps.export.tables import CONFIRMED as CONFIRMED_COLUMN
from sweeps.export.tables import METRICS
from trainables.metrics import on_test


def front_figure(frames: Frames) -> go.Figure | None:
    """Every trial by two goals, what was stopped by its fidelity; the front, its test values, and fresh seeds.

    None without two goals or a trial that has them.
    """
    across, up = frames.across, frames.up
    if across is None or frames.metric(frames.trials, up).isna().all():
        return None
    points = frames.trials[frames.trials["on_front"]].copy()
    points = points.sort_values([METRICS + across, "trial"])
    traces = [_complete(frames, across, up), _stopped(frames, across, up), _line(frames, points, across, up)]
    if on_test(up) in {name.removeprefix(METRICS) for name in points}:
        traces.append(_tested(frames, points, across, up))
    if CONFIRMED_COLUMN + up in frames.front:
        traces.append(_confirmed(frames, across, up))
    x, y = frames.metric(frames.trials, across), frames.metric(frames.trials, up)
    return figure(*traces, height=520, xaxis=axis(across, x, log=True), yaxis=axis(up, y, log=False))


def hypervolume_figure(frames: Frames) -> go.Figure | None:
    """The front's hypervolume over the compute that was spent; None while too few trials are complete."""
    steps = frames.progress
    if len(steps) < 2:
        return None
    told = [
        f"after {ended} trials, {front} on the front"
        for ended, front in zip(steps["ended"], steps["front"], strict=True)
    ]
    line = go.Scatter(
        x=steps["spent_s"],
        y=steps["hypervolume"],
        mode="lines",
        line={"shape": "hv", "color": FRONT, "width": 2},
        text=told,
        hovertemplate="%{y:.4g} at %{x:.3g} s<br>%{text}<extra></extra>",
    )
    across = {"title": {"text": "compute spent, modelled on the reference device [s]"}, "rangemode": "tozero"}
    up = {"title": {"text": "hypervolume of the front"}, "rangemode": "tozero", "automargin": True}
    return figure(line, height=320, xaxis=across, yaxis=up, showlegend=False)


def _points(frames: Frames, frame: Any, across: str, up: str, **style: Any) -> go.Scatter:
    return go.Scatter(
        x=frames.metric(frame, across),
        y=frames.metric(frame, up),
        customdata=frame["trial"],
        text=hover(frames, frame),
        hovertemplate="%{text}<extra></extra>",
        mode=style.pop("mode", "markers"),
        **style,
    )


def _complete(frames: Frames, across: str, up: str) -> go.Scatter:
    trials = frames.trials[(frames.trials["state"] == "complete") & ~frames.trials["on_front"]]
    return _points(frames, trials, across, up, name="complete", marker={"color": OTHER, "size": 7, "opacity": 0.7})


def _stopped(frames: Frames, across: str, up: str) -> go.Scatter:
    trials = frames.trials[frames.trials["state"] == "pruned"]
    bar = {"title": {"text": "fidelity"}, "len": 0.6, "thickness": 10, "tickformat": ".0%"}
    colour = {"color": trials["fidelity"], "colorscale": SCALE, "cmin": 0, "cmax": 1, "colorbar": bar}
    marker = {"symbol": "circle-open", "size": 7, "line": {"width": 1.5}, "showscale": not trials.empty, **colour}
    return _points(frames, trials, across, up, name="stopped early, at full cost", marker=marker)


def _line(frames: Frames, points: Any, across: str, up: str) -> go.Scatter:
    line = {"shape": "hv", "color": FRONT, "width": 2}
    marker = {"size": 11, "color": FRONT}
    return _points(frames, points, across, up, name="front", mode="lines+markers", line=line, marker=marker)


def _tested(frames: Frames, points: Any, across: str, up: str) -> go.Scatter:
    marker = {"symbol": "x-thin", "size": 8, "line": {"color": TEST, "width": 2}}
    told = f"trial %{{customdata}}<br>{titled(on_test(up))}: %{{y:.3f}}<extra></extra>"
    trace = _points(frames, points, across, on_test(up), name="front on test: reported only", marker=marker)
    return trace.update(hovertemplate=told)


def _confirmed(frames: Frames, across: str, up: str) -> go.Scatter:
    points = frames.front[frames.front["fresh_seeds"].notna()]
    mean, low, high = (points[f"{CONFIRMED_COLUMN}{up}{end}"] for end in ("", ".low", ".high"))
    told = [
        f"trial {trial} with {seeds:.0f} fresh seeds: {least:.3f} to {most:.3f} (95 %)<br>on the true front with "
        f"probability {chance:.2f}"
        for trial, seeds, least, most, chance in zip(
            points["trial"], points["fresh_seeds"], low, high, points["front_probability"], strict=True
        )
    ]
    return go.Scatter(
        x=frames.metric(points, across),
        y=mean,
        customdata=points["trial"],
        text=told,
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        name="with fresh seeds, 95 %",
        marker={
            "symbol": "square",
            "size": 8,
            "color": CONFIRMED,
            "opacity": points["front_probability"].clip(0.25, 1),
        },
        error_y={"array": high - mean, "arrayminus": mean - low, "color": CONFIRMED, "thickness": 1.5},
    )
