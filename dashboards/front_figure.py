"""The front of a sweep as a picture."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.confirmation.report import Confirmation
from sweeps.constraints import Constraints
from sweeps.front import Goals, front
from sweeps.ledger.history import History, TrialRecord
from sweeps.refusals import Refusal
from sweeps.tables import quantity
from trainables.metrics import COST_S, on_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXIS_TITLES = {COST_S: "compute: modelled time on the reference device"}


def draw_front(
    sweep: str,
    history: History,
    goals: Goals,
    constraints: Constraints,
    path: Path,
    confirmation: Confirmation | None = None,
) -> None:
    """Draw the first minimised goal against the first maximised one and write the picture to `path`.

    The front as a line over every complete trial; what was stopped, hollow, where it stood, at its full planned cost;
    the front's test values, which nothing was chosen by; what fresh seeds confirmed, with 95 % intervals. `Refusal` if
    there is no such pair of goals or no front.
    """
    across = next((goal for goal, way in goals.items() if way == "minimize"), None)
    up = next((goal for goal, way in goals.items() if way == "maximize"), None)
    points = front(history.trials.values(), goals, constraints)
    if across is None or up is None or not points:
        raise Refusal(
            f"a front is drawn from one minimised and one maximised goal and complete trials; '{sweep}' has the goals "
            f"{dict(goals)} and {len(points)} trials on its front. Run more trials, or give it both kinds of goal"
        )
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    _draw_trials(axes, history, across, up)
    _draw_points(axes, points, across, up)
    if confirmation:
        _draw_confirmed(axes, confirmation, across, up)
    axes.set(xscale="log", xlabel=_AXIS_TITLES.get(across, across), ylabel=f"generalisation: {up} (validation)")
    written = FuncFormatter(lambda value, _: quantity(across, value))
    axes.xaxis.set_major_formatter(written)
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))  # what stands closer than that would be written over
    axes.xaxis.set_minor_formatter(written if _narrow(points, across) else NullFormatter())
    axes.set_title(f"{sweep}: what compute buys", loc="left")
    axes.grid(alpha=0.25, which="both")
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=150)


def _draw_trials(axes: "Axes", history: History, across: str, up: str) -> None:
    for state, label, fill in (("complete", "complete", "0.55"), ("pruned", "stopped early, at full cost", "none")):
        trials = [trial for trial in history.trials.values() if trial.state == state and up in trial.metrics]
        axes.scatter(
            _values(trials, across), _values(trials, up), s=22, label=label, facecolors=fill, edgecolors="0.55"
        )


def _draw_points(axes: "Axes", points: list[TrialRecord], across: str, up: str) -> None:
    x, y = _values(points, across), _values(points, up)
    axes.plot(x, y, drawstyle="steps-post", color="tab:blue", linewidth=1.5)
    axes.scatter(x, y, color="tab:blue", s=42, zorder=3, label="front")
    tested = [point for point in points if on_test(up) in point.metrics]
    axes.scatter(_values(tested, across), _values(tested, on_test(up)), marker="x", color="tab:orange", label="on test")
    for point, left, height in zip(points, x, y, strict=True):
        axes.annotate(str(point.number), (left, height), textcoords="offset points", xytext=(4, 6), fontsize=8)


def _draw_confirmed(axes: "Axes", confirmation: Confirmation, across: str, up: str) -> None:
    points = [point for point in confirmation.points if point.stands and up in point.intervals]
    trials = [point.trial for point in points]
    means = _values(trials, up)
    bounds = [point.intervals[up] for point in points]
    below = [mean - low for mean, (low, _) in zip(means, bounds, strict=True)]
    above = [high - mean for mean, (_, high) in zip(means, bounds, strict=True)]
    style: dict[str, Any] = {
        "fmt": "s",
        "color": "tab:green",
        "markersize": 5,
        "capsize": 3,
        "label": "front with fresh seeds, 95 %",
    }
    axes.errorbar(_values(trials, across), means, yerr=[below, above], **style)


def _narrow(points: list[TrialRecord], across: str) -> bool:
    """Whether an axis over these points has too few powers of ten to be read without the marks between them."""
    values = _values(points, across)
    return max(values) < 100 * min(values)


def _values(trials: Iterable[TrialRecord], metric: str) -> list[float]:
    return [trial.metrics[metric] for trial in trials]
