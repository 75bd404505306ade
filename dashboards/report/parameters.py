"""Figures of what the parameters do: each goal by one of them and by two, which matter, and all at once."""

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import optuna
import pandas as pd
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from plotly.subplots import make_subplots

from dashboards.frames import SWEPT_AXES, Frames, titled
from dashboards.report.style import FRONT, OTHER, SCALE, TEST, axis, figure, hover, shown

_MOST_TRIALS = 400  # that importances are computed from: their forests take time
_MOST_SLICES = 8


def slices_figure(frames: Frames) -> go.Figure | None:
    """The measured goal by each parameter that varies; None if none does."""
    params = frames.params[:_MOST_SLICES]
    trials = _measured(frames)
    if not params or trials.empty:
        return None
    columns = min(3, len(params))
    rows = -(-len(params) // columns)
    made = make_subplots(rows, columns, shared_yaxes=True, horizontal_spacing=0.04, vertical_spacing=0.28 / rows)
    for place, path in enumerate(params):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        for frame, name, style in _by_standing(trials):
            trace = _scatter(frames, frame, frames.param(frame, path), name, style)
            made.add_trace(trace.update(showlegend=place == 0, legendgroup=name), **at)
        made.update_xaxes({**_param_axis(path, frames.param(trials, path))}, **at)
    made.update_yaxes({"title": {"text": titled(frames.up)}, "automargin": True}, col=1)
    return figure(*made.data, height=90 + 270 * rows, **_axes(made))


def pairs_figure(frames: Frames) -> go.Figure | None:
    """The measured goal as colour over each pair of the swept axes (or of what varies first); None below two."""
    trials = _measured(frames)
    chosen = [path for path in frames.params if pd.api.types.is_numeric_dtype(frames.param(trials, path))]
    chosen = ([path for path in chosen if path in SWEPT_AXES] + [path for path in chosen if path not in SWEPT_AXES])[:3]
    pairs = list(combinations(chosen, 2))
    if not pairs or trials.empty:
        return None
    made = make_subplots(1, len(pairs), horizontal_spacing=0.12)
    values = frames.metric(trials, frames.up)
    bar = {
        "title": {"text": frames.up, "side": "top"},
        "orientation": "h",
        "thickness": 10,
        "yanchor": "bottom",
        "y": 1.0,
    }
    scale = {"colorscale": SCALE, "cmin": values.min(), "cmax": values.max(), "colorbar": bar}
    for place, (left, right) in enumerate(pairs):
        marker = {"size": 8, "color": values, "symbol": _symbols(trials), "showscale": place == 0, **scale}
        trace = _scatter(frames, trials, frames.param(trials, left), frames.up, {"marker": marker})
        made.add_trace(trace.update(y=frames.param(trials, right)), row=1, col=place + 1)
        made.update_xaxes(_param_axis(left, frames.param(trials, left)), col=place + 1)
        made.update_yaxes({**_param_axis(right, frames.param(trials, right)), "automargin": True}, col=place + 1)
    return figure(*made.data, height=400, showlegend=False, **_axes(made))


def importance_figure(frames: Frames) -> go.Figure | None:
    """Which share of each goal's variance each parameter explains (fANOVA, Hutter et al. 2014); None of too few trials.

    Of trials that were trained to their end, and of parameters that all of them have.
    """
    trials = frames.trials[frames.trials["state"] == "complete"]
    if len(trials) > _MOST_TRIALS:
        trials = trials.iloc[np.linspace(0, len(trials) - 1, _MOST_TRIALS).astype(int)]
    if len(trials) < 8:
        return None
    bars = []
    for colour, goal in zip((FRONT, TEST, OTHER, "#7b5ea7"), frames.about.goals, strict=False):
        found = _importances(frames, trials, goal)
        bars.append(go.Bar(x=list(found.values()), y=list(found), name=goal, orientation="h", marker={"color": colour}))
    bars = [bar for bar in bars if bar.y]
    if not bars:
        return None
    across = {"title": {"text": "share of the goal's variance"}, "tickformat": ".0%", "rangemode": "tozero"}
    up = {"autorange": "reversed", "automargin": True}
    rows = max(len(bar.y) for bar in bars)
    return figure(*bars, height=140 + 26 * rows * len(bars), xaxis=across, yaxis=up, barmode="group")


def parallel_figure(frames: Frames) -> go.Figure | None:
    """All that varies and the goals, side by side, a line for each complete trial; None without any."""
    trials = frames.trials[frames.trials["state"] == "complete"]
    if trials.empty or not frames.params:
        return None
    dimensions = [_dimension(path, frames.param(trials, path)) for path in frames.params]
    dimensions += [_dimension(goal, frames.metric(trials, goal)) for goal in frames.about.goals]
    colour = frames.metric(trials, frames.up)
    line = {
        "color": colour,
        "colorscale": SCALE,
        "showscale": True,
        "colorbar": {"title": {"text": frames.up}, "thickness": 10},
    }
    made = go.Parcoords(dimensions=[each for each in dimensions if each], line=line, labelangle=-18, labelside="top")
    return figure(made, height=420, margin={"l": 70, "r": 20, "t": 100, "b": 30})


def _measured(frames: Frames) -> pd.DataFrame:
    done = frames.trials["state"].isin(["complete", "pruned"])
    return frames.trials[done & frames.metric(frames.trials, frames.up).notna()]


def _by_standing(trials: pd.DataFrame) -> list[tuple[pd.DataFrame, str, dict[str, Any]]]:
    complete, front = trials["state"] == "complete", trials["on_front"]
    return [
        (trials[~complete], "stopped early", {"marker": {"symbol": "circle-open", "color": OTHER, "size": 6}}),
        (trials[complete & ~front], "complete", {"marker": {"color": OTHER, "size": 6, "opacity": 0.7}}),
        (trials[front], "front", {"marker": {"color": FRONT, "size": 9}}),
    ]


def _scatter(frames: Frames, frame: pd.DataFrame, x: Any, name: str, style: dict[str, Any]) -> go.Scatter:
    return go.Scatter(
        x=x if pd.api.types.is_numeric_dtype(x) else x.map(shown),
        y=frames.metric(frame, frames.up),
        customdata=frame["trial"],
        text=hover(frames, frame),
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        name=name,
        **style,
    )


def _symbols(trials: pd.DataFrame) -> list[str]:
    return ["circle" if state == "complete" else "circle-open" for state in trials["state"]]


def _param_axis(path: str, values: Any) -> dict[str, Any]:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return {"title": {"text": path}, "type": "category"}
    return {**axis(path, values), "title": {"text": path}}


def _axes(made: go.Figure) -> dict[str, Any]:
    """Those of the panels that show something: the last row of a grid may have fewer."""
    layout = made.layout.to_plotly_json()
    drawn = {f"{side}axis{(trace[f'{side}axis'] or side)[1:]}" for trace in made.data for side in "xy"}
    return {name: value for name, value in layout.items() if name in drawn}


def _importances(frames: Frames, trials: pd.DataFrame, goal: str) -> dict[str, float]:
    values = frames.metric(trials, goal)
    usable = trials[values.notna() & np.isfinite(values)]
    told = {path: frames.param(usable, path) for path in frames.params}
    told = {path: column for path, column in told.items() if column.notna().all() and column.nunique() > 1}
    if len(usable) < 8 or not told or values.nunique() < 2:
        return {}
    ranges = {path: _distribution(column) for path, column in told.items()}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for place, value in enumerate(frames.metric(usable, goal)):
        params = {path: _plain(column.iloc[place]) for path, column in told.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, value=float(value)))
    optuna.logging.set_verbosity(verbosity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
        )
    return dict(found)


def _distribution(column: Any) -> BaseDistribution:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return CategoricalDistribution([_plain(value) for value in column.unique()])
    low, high = float(column.min()), float(column.max())
    return FloatDistribution(low, high, log=low > 0 and high > 10 * low)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _dimension(name: str, values: Any) -> dict[str, Any] | None:
    """An axis of the parallel coordinates; what a trial does not have stands below all that others have."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        codes, names = pd.factorize(values, use_na_sentinel=False)
        ticks = {"tickvals": list(range(len(names))), "ticktext": [shown(each) for each in names]}
        return {"label": name, "values": codes, **ticks}
    known = values.dropna()
    if known.empty:
        return None
    log = known.min() > 0 and known.max() > 10 * known.min()
    ticks_at = np.geomspace(known.min(), known.max(), 5) if log else np.linspace(known.min(), known.max(), 5)
    placed, ticks_placed = (np.log10(values), np.log10(ticks_at)) if log else (values, ticks_at)
    below = ticks_placed[0] - 0.15 * (ticks_placed[-1] - ticks_placed[0] or 1.0)
    told = [shown(float(f"{tick:.3g}")) for tick in ticks_at]
    if values.isna().any():
        placed, ticks_placed, told = placed.fillna(below), np.array([below, *ticks_placed]), ["-", *told]
    return {"label": name, "values": placed, "tickvals": ticks_placed, "ticktext": told}
