"""The front of a sweep as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.frames import Frames, titled
from sweeps.export.tables import CONFIRMED
from sweeps.refusals import Refusal
from sweeps.tables import quantity
from trainables.metrics import on_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_front(frames: Frames, path: Path) -> None:
    """Draw the first minimised goal against the first maximised one and write the picture to `path`.

    The front as a line over every complete trial; what was stopped, hollow, where it stood, at its full planned cost;
    the front's test values, which nothing was chosen by; what fresh seeds confirmed, with 95 % intervals. `Refusal` if
    there is no such pair of goals or no front.
    """
    goals, across, up = frames.about.goals, frames.across, frames.up
    points = frames.front[frames.front["on_front"]]
    if across is None or goals[up] != "maximize" or points.empty:
        raise Refusal(
            "a front is drawn from one minimised and one maximised goal and complete trials; "
            f"'{frames.about.sweep}' has the goals {goals} and {len(points)} trials on its front. Run more trials, or "
            "give it both kinds of goal"
        )
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    _draw_trials(axes, frames, across, up)
    _draw_points(axes, frames, points, across, up)
    _draw_confirmed(axes, frames, across, up)
    axes.set(xscale="log", xlabel=titled(across), ylabel=f"generalisation: {titled(up)}")
    written = FuncFormatter(lambda value, _: quantity(across, value))
    axes.xaxis.set_major_formatter(written)
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))  # what stands closer than that would be written over
    axes.xaxis.set_minor_formatter(written if _narrow(frames.metric(points, across)) else NullFormatter())
    axes.set_title(f"{frames.about.sweep}: what compute buys", loc="left")
    axes.grid(alpha=0.25, which="both")
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=150)


def draw_hypervolume(frames: Frames, path: Path) -> None:
    """Draw what the front has covered after each trial that ended, over what had been spent, to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.step(frames.progress["spent_s"], frames.progress["hypervolume"], where="post", color="tab:blue")
    axes.set(xlabel="compute spent, modelled [s]", ylabel="hypervolume of the front")
    axes.set_title(f"{frames.about.sweep}: what the search has found", loc="left")
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=150)


def _draw_trials(axes: "Axes", frames: Frames, across: str, up: str) -> None:
    for state, label, fill in (("complete", "complete", "0.55"), ("pruned", "stopped early, at full cost", "none")):
        trials = frames.trials[frames.trials["state"] == state]
        x, y = frames.metric(trials, across), frames.metric(trials, up)
        axes.scatter(x, y, s=22, label=label, facecolors=fill, edgecolors="0.55")


def _draw_points(axes: "Axes", frames: Frames, points: pd.DataFrame, across: str, up: str) -> None:
    x, y, tested = frames.metric(points, across), frames.metric(points, up), frames.metric(points, on_test(up))
    axes.plot(x, y, drawstyle="steps-post", color="tab:blue", linewidth=1.5)
    axes.scatter(x, y, color="tab:blue", s=42, zorder=3, label="front")
    axes.scatter(x, tested, marker="x", color="tab:orange", label="on test")
    for number, left, height in zip(points["trial"], x, y, strict=True):
        axes.annotate(str(number), (left, height), textcoords="offset points", xytext=(4, 6), fontsize=8)


def _draw_confirmed(axes: "Axes", frames: Frames, across: str, up: str) -> None:
    if CONFIRMED + up not in frames.front:
        return
    points = frames.front[frames.front["front_probability"] >= 0.5]
    mean, low, high = (points[f"{CONFIRMED}{up}{end}"] for end in ("", ".low", ".high"))
    style: dict[str, Any] = {
        "fmt": "s",
        "color": "tab:green",
        "markersize": 5,
        "capsize": 3,
        "label": "front with fresh seeds, 95 %",
    }
    axes.errorbar(frames.metric(points, across), mean, yerr=[mean - low, high - mean], **style)


def _narrow(values: Any) -> bool:
    """Whether an axis over these values has too few powers of ten to be read without the marks between them."""
    return bool(values.max() < 100 * values.min())
