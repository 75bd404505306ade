"""The command line of what a reader sees of a sweep. Loads neither Ray nor torch."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dashboards.front_figure import draw_front
from sweeps.commands.options import RESULTS, StorageOption
from sweeps.confirmation.plan import subject
from sweeps.confirmation.report import confirmed
from sweeps.constraints import constraints_of
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal, refusals

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

_FORMATS = (".png", ".svg", ".pdf")


def main() -> None:
    """Run the command line."""
    app()


@app.callback()
def _commands() -> None:
    """What a reader sees of a sweep."""


@app.command()
def front(
    sweep: Annotated[str | None, typer.Argument(help="A sweep's id; the newest one if left out.")] = None,
    storage: StorageOption = RESULTS,
    output: Annotated[
        Path | None, typer.Option(help="A .png, .svg or .pdf; in the sweep's folder if left out.")
    ] = None,
) -> None:
    """Draw the compute-generalisation front of a sweep.

    Example: python -m dashboards front --output front.png
    """
    with refusals():
        chosen = subject(storage.existing(sweep), storage)
        with Ledger.open(storage.ledger(chosen)) as ledger:
            path = _drawable(output or storage.path / chosen / "front.png")
            file, confirmation = ledger.spec["file"], confirmed(ledger, storage)
            history, constraints = History.of(ledger.events()), constraints_of(file)
            draw_front(ledger.sweep, history, file["goals"], constraints, path, confirmation)
    Console().print(f"drawn to {path}", markup=False, highlight=False, soft_wrap=True)


def _drawable(path: Path) -> Path:
    """`path` if a picture can be written there; `Refusal` otherwise."""
    if path.suffix not in _FORMATS or not path.parent.is_dir():
        formats = ", ".join(_FORMATS)
        raise Refusal(f"a picture is a {formats} in a folder that is there, and --output is {path}. Give another path")
    return path
