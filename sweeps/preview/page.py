"""A preview for people."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeps.tables import clock, quantity
from trainables.metrics import PEAK_BYTES

_ASSUMED = (
    "simulated, if end values do not depend on cost, and whether a rung says all or nothing about the end; "
    "the more accuracy rises with cost, the less is saved"
)


def preview_page(described: dict[str, Any]) -> RenderableType:
    """The table: what, how much, and what that rests on."""
    table = Table(title=f"{described['name']}: no trial was trained", title_justify="left")
    for column in ("", "value", "what that is"):
        table.add_column(column)
    for row in (*_trials(described), *_compute(described), _saved(described["stopping"]), _time(described["wall"])):
        table.add_row(*row)
    for row in _fit(described["fit"]):
        table.add_row(*row)
    return Group(table, *(Text(f"caution: {caution}") for caution in described["cautions"]))


def _trials(described: dict[str, Any]) -> list[tuple[str, str, str]]:
    ends = described["ended_by"]
    rows = [
        ("trials", _count(described["trials"]), f"search: {described['search']}, ended by {' or '.join(ends) or '-'}")
    ]
    for name, cap in described["caps"].items():
        if name != "trials" or len(described["caps"]) > 1:
            rows.append(
                (
                    f"  budget.{name}",
                    _count(cap["trials"]),
                    f"trials that a cap of {cap['cap']} allows" if cap["cap"] else "trials of the grid",
                )
            )
    return rows


def _compute(described: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for metric, span in described["trial"].items():
        low, high = quantity(metric, span["least"]), quantity(metric, span["most"])
        rows.append((metric, low if low == high else f"{low} to {high}", "of a trial"))
        if metric in described["total"]:
            rows.append(("", *_total(metric, described["total"][metric])))
    return rows


def _total(metric: str, span: dict[str, float | None]) -> tuple[str, str]:
    least, likely, most = (span[end] for end in ("least", "likely", "most"))
    if least is None or likely is None or most is None:
        return "-", "of all trials: unknown, since their number is"
    if least == most:
        return quantity(metric, likely), "of all trials, exactly (if none fails)"
    return _between(*(quantity(metric, value) for value in (least, likely, most))), "of all trials"


def _saved(stopping: dict[str, Any]) -> tuple[str, str, str]:
    rungs = ", ".join(_rung(rung) for rung in stopping["rungs"])
    if stopping["rule"]["name"] == "none":
        return "saved by stopping", "nothing", "stop: none"
    saved = _between(*(f"{stopping['saved'][end]:.0%}" for end in ("least", "likely", "most")))
    return "saved by stopping", saved, f"of cost; {_ASSUMED}. Rank correlation with the end: {rungs}"


def _rung(rung: dict[str, Any]) -> str:
    low, high = rung["correlation"]
    said = f"{low:.2f}" if low == high else f"{low:g} to {high:g} (not measured)"
    return f"{said} at {rung['fidelity']:.0%}"


def _time(wall: dict[str, Any]) -> tuple[str, str, str]:
    if wall["seconds"] is None or None in wall["seconds"].values():
        return "wall time", "-", f"unknown: {wall['why'] or 'so is the number of trials'}"
    start, trial = wall["start_seconds"], wall["seconds_of_a_trial"]
    said = (
        f"{wall['slots']} slots; {wall['timed']} trials timed for a few steps say {trial['likely']:.2g} s a trial, "
        f"the mean to {wall['error']:.0%}; start and end {start['least']:g} to {start['most']:g} s. At least: "
        "cheap trials, stopped as simulated; at most: dear ones, none stopped, slowed by the driver"
    )
    return "wall time", _between(*(clock(wall["seconds"][end]) for end in ("least", "likely", "most"))), said


def _fit(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    memory = quantity(PEAK_BYTES, found["memory_bytes"])
    of = f"of {found['trials']} trials"
    rows = [("too large", *_misfits(found["too_large"], f"{of}: {PEAK_BYTES} above {memory}, a worker's memory"))]
    for metric, misfits in found["constraints"].items():
        rows.append(("breaks", *_misfits(misfits, f"{of}: the constraint on {metric}")))
    return rows


def _misfits(misfits: dict[str, Any], said: str) -> tuple[str, str]:
    why = f"; all of them have {misfits['all_have']}" if misfits["all_have"] else ""
    return f"{misfits['share']:.0%}", said + why


def _count(span: dict[str, float | None]) -> str:
    least, likely, most = ("all" if span[end] is None else f"{span[end]:.0f}" for end in ("least", "likely", "most"))
    return _between(least, likely, most)


def _between(least: str, likely: str, most: str) -> str:
    return likely if least == most else f"{least} to {most}, likely {likely}"
