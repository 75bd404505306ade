"""What a sweep looks like as an MLflow run, besides its trials: its description, its front, and how far it has come.

Functions of the ledger, and of how its storage is called, so that mirroring a sweep again writes the same things again.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sweeps.confirmation.membership import Aims
from sweeps.export.shareable import shareable
from sweeps.export.tables import reproduce_command
from sweeps.front import Goals
from sweeps.hypervolume import progress
from sweeps.ledger.history import History, TrialRecord
from sweeps.tables import flat, quantity
from sweeps.tracking.run_content import Point, milliseconds, picked
from trainables.metrics import SPENT_S, on_test

#: Metrics of the sweep's own run. Their step is the number of trials that had ended.
HYPERVOLUME = "front/hypervolume"
FRONT_SIZE = "front/trials"

#: The front as MLflow shows tables: a file of columns and rows, and the tag by which its pages know it.
FRONT_FILE = "front.json"
TABLE_TAG = {"mlflow.loggedArtifacts": json.dumps([{"path": FRONT_FILE, "type": "table"}])}

_MOST_ROWS = 20  # of a description; the file has them all


def progress_points(history: History, aims: Aims, after: int) -> list[Point]:
    """Hypervolume, size of the front and compute spent, at each trial that ended beyond the first `after`."""
    return [
        Point(name, value, milliseconds(step.at), step.ended)
        for step in progress(history, aims)
        if step.ended > after
        for name, value in (
            (HYPERVOLUME, step.hypervolume),
            (FRONT_SIZE, float(step.front)),
            (SPENT_S, step.spent_s),
        )
    ]


def front_table(sweep: str, front: Sequence[TrialRecord], goals: Goals, storage_flag: str) -> dict[str, Any]:
    """The front as columns and rows: goals, their test values, what was chosen, and the command for each point."""
    paths = list(
        dict.fromkeys(path for trial in front for path in flat(trial.config) if picked(path, trial.parameters))
    )
    metrics = [*goals, *(on_test(goal) for goal in goals if any(on_test(goal) in trial.metrics for trial in front))]
    rows = []
    for trial in front:
        config = flat(trial.config)
        params = [shareable(value) if isinstance(value := config.get(path), str) else value for path in paths]
        command = reproduce_command(sweep, trial.number, storage_flag)
        rows.append([trial.number, *map(trial.metrics.get, metrics), *params, command])
    return {"columns": ["trial", *metrics, *paths, "reproduce"], "data": rows}


def note(description: str, source: str, table: dict[str, Any]) -> str:
    """A sweep in Markdown: what it is, its front, and its file."""
    front = f"### Front\n\n{_markdown(table)}" if table["data"] else ""
    file = f"### Sweep file\n\n```yaml\n{source.strip()}\n```" if source else ""
    return "\n\n".join(filter(None, [description, front, file]))


def card(sweep: str, trial: TrialRecord, goals: Goals, storage_flag: str) -> str:
    """A trial in Markdown: what was chosen for it, what came out, and how to get it again."""
    chosen = [(path, _cell(value)) for path, value in flat(trial.config).items() if picked(path, trial.parameters)]
    names = [*goals, *map(on_test, goals)]
    values = [(name, quantity(name, trial.metrics[name])) for name in names if name in trial.metrics]
    return "\n\n".join(
        [
            f"## {sweep}, trial {trial.number}",
            f"{trial.state}, {trial.fidelity:.0%} of the planned training",
            _rows(["chosen", "value"], chosen),
            _rows(["measured", "value"], values),
            f"```\n{reproduce_command(sweep, trial.number, storage_flag)}\n```",
        ]
    )


def _markdown(table: dict[str, Any]) -> str:
    rows = [[_cell(value) for value in row] for row in table["data"][:_MOST_ROWS]]
    more = len(table["data"]) - len(rows)
    return _rows(table["columns"], rows) + (f"\n\nand {more} more in `{FRONT_FILE}`" if more > 0 else "")


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else shareable(str(value))
    return text.replace("|", "\\|").replace("\n", " ")
