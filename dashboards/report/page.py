"""The report as one file: figures, tables and what draws them, and nothing that is fetched from anywhere.

Its content security policy lets no script run but its own two, known by their digests, and nothing be loaded. They may
evaluate text: Plotly does for parallel coordinates. What came from a sweep is JSON, which is never a script.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup

from dashboards.frames import Frames
from dashboards.front_figure import draw_front, draw_hypervolume
from dashboards.report import chosen, training
from dashboards.report.front import front_figure, hypervolume_figure
from dashboards.report.parameters import importance_figure, pairs_figure, parallel_figure, slices_figure
from sweeps.refusals import Refusal
from sweeps.results import PLACEHOLDER, UNTOLD
from sweeps.tables import clock, quantity
from trainables.metrics import COST_S

PAGE = "report.html"

_FIGURES: dict[str, Callable[[Frames], go.Figure | None]] = {
    "front": front_figure,
    "hypervolume": hypervolume_figure,
    "slices": slices_figure,
    "pairs": pairs_figure,
    "importance": importance_figure,
    "parallel": parallel_figure,
    "curves": training.curves_figure,
    "spending": training.spending_figure,
}


def write_report(frames: Frames, folder: Path) -> list[Path]:
    """`report.html` and its main figures as pictures in `folder`, which is made if need be; what was written.

    Raises `Refusal` if that is no folder to write in.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page, draft = folder / PAGE, folder / f".{PAGE}.new"
        draft.write_text(render(frames), encoding="utf-8")
        draft.replace(page)
    except OSError as error:
        raise Refusal(f"a report is written to a folder, and {folder} is not one to write in: {error}") from error
    return [page, *_pictures(frames, folder)]


def render(frames: Frames) -> str:
    """The page."""
    figures = {name: made for name, draw in _FIGURES.items() if (made := draw(frames)) is not None}
    pages = files("dashboards")
    static = pages / "report"
    script, library = _read(static / "page.js"), _plotly()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read(static / "page.html")).render(
        about=frames.about,
        placeholder=PLACEHOLDER,
        untold=frames.about.storage_flag == UNTOLD,
        facts=_facts(frames),
        in_short=chosen.in_short(frames),
        trust=chosen.trust(frames),
        choices=chosen.chosen(frames),
        stops=training.stops(frames),
        stop_rule=training.stop_rule(frames),
        saved=quantity(COST_S, training.spending(frames)["saved"]),
        failures=training.failures(frames),
        curves_note=training.curves_note(frames),
        figures=set(figures),
        style=Markup(_read(pages / "theme.css") + _read(static / "page.css")),
        data=Markup(_data(frames, figures)),
        library=Markup(library),
        script=Markup(script),
        hashes=Markup(" ".join(_hash(text) for text in (library, script))),
    )


def _pictures(frames: Frames, folder: Path) -> list[Path]:
    drawn = []
    if frames.across and not frames.front.empty and frames.about.goals[frames.up] == "maximize":
        draw_front(frames, folder / "front.png")
        drawn.append(folder / "front.png")
    if not frames.progress.empty:
        draw_hypervolume(frames, folder / "hypervolume.png")
        drawn.append(folder / "hypervolume.png")
    return drawn


def _facts(frames: Frames) -> dict[str, str]:
    """What stands at the top, in few words each."""
    said, counts = frames.about, frames.about.trials
    ended = sum(counts[state] for state in ("complete", "pruned", "failed"))
    total = said.budget.get("trials")
    return {
        "trials": f"{ended:,} of {total:,.0f}" if total else f"{ended:,}",
        "complete": f"{counts['complete']:,}",
        "stopped early": f"{counts['pruned']:,}",
        "failed": f"{counts['failed']:,}",
        "on the front": str(int(frames.front["on_front"].sum())),
        "compute trained": quantity(COST_S, float(frames.trials["trained_cost_s"].sum())),
        "time": clock(said.held_s),
    }


def _data(frames: Frames, figures: dict[str, go.Figure]) -> str:
    """JSON for a script element: nothing in it can end that."""
    told = {
        "sweep": frames.about.sweep,
        "storage_flag": frames.about.storage_flag,
        "figures": {name: json.loads(figure.to_json()) for name, figure in figures.items()},
    }
    text = json.dumps(told, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plotly() -> str:
    """Plotly's own program, as its package brings it."""
    return _read(files("plotly") / "package_data" / "plotly.min.js").replace("</script", "<\\/script")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _read(path: Any) -> str:
    return str(path.read_text(encoding="utf-8"))
