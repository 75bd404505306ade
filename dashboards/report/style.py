"""How figures of the report look: colours that can be told apart by all eyes, on light and on dark."""

import math
from typing import Any

import plotly.graph_objects as go

from dashboards.frames import Frames, titled
from sweeps.tables import quantity, unit

FRONT = "#2b83ba"
TEST = "#d9822b"
CONFIRMED = "#1b9e77"
OTHER = "#8a8f98"
BAD = "#d1495b"

#: From low to high: violet to orange, in even steps of OKLCH, each 3 : 1 and more against both papers (WCAG 1.4.11).
#: What viridis begins with is lost on black, and what it ends with on white.
SCALE = ["#5e56de", "#884fd2", "#a94bbc", "#c24a9f", "#d44e7f", "#de585c", "#e06937", "#d97d02"]

_LAYOUT: dict[str, Any] = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 64, "r": 16, "t": 24, "b": 56},
    "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
    "hovermode": "closest",
    "template": "none",
}


def figure(*traces: Any, height: int = 420, **layout: Any) -> go.Figure:
    """These traces in the style of the page."""
    return go.Figure(list(traces), {**_LAYOUT, "height": height, **layout})


def axis(metric: str, values: Any, *, log: bool | None = None) -> dict[str, Any]:
    """An axis of this metric: logarithmic, if not said otherwise, where positive values span more than a decade."""
    known = values.dropna()
    positive = bool(len(known)) and known.min() > 0
    log = positive and known.max() > 10 * known.min() if log is None else log and positive
    return {
        "title": {"text": titled(metric)},
        "type": "log" if log else "linear",
        "automargin": True,
        "exponentformat": "SI",
        **(_ticks(metric, known.min(), known.max()) if log else {}),
    }


def _ticks(metric: str, low: float, high: float) -> dict[str, Any]:
    """Marks of a logarithmic axis: powers of ten, and 2 and 5 times these where there are few of them."""
    digits = (1, 2, 5) if high < 100 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in digits]
    told = [quantity(metric, each) if unit(metric) else f"{each:g}" for each in values]
    return {"tickvals": values, "ticktext": told}


def hover(frames: Frames, frame: Any) -> list[str]:
    """What is said of each trial of a frame when it is pointed at, in Plotly's small part of HTML."""
    goals = {goal: frames.metric(frame, goal) for goal in frames.about.goals}
    params = {path: frames.param(frame, path) for path in frames.params}
    texts = []
    for place, (number, state, fidelity) in enumerate(
        zip(frame["trial"], frame["state"], frame["fidelity"], strict=True)
    ):
        lines = [f"<b>trial {number}</b>: {state}, trained {fidelity:.0%}"]
        lines += [f"{name}: {quantity(name, values.iloc[place])}" for name, values in goals.items()]
        lines += [f"{path}: {shown(values.iloc[place])}" for path, values in params.items()]
        texts.append("<br>".join(lines))
    return texts


def shown(value: Any) -> str:
    """A parameter's value in few characters."""
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.3g}"
    text = str(value).replace("&", "&amp;").replace("<", "&lt;")
    return text if len(text) <= 60 else f"{text[:57]}..."
