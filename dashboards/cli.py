"""The command line of what a reader sees of a sweep. Loads neither Ray nor torch."""

from pathlib import Path
from typing import Annotated

import typer

from dashboards.frames import Frames
from sweeps.commands.options import RESULTS, StorageOption, SweepArgument, out
from sweeps.confirmation.plan import subject
from sweeps.export.files import FOLDER, tables, write
from sweeps.refusals import Refusal, refusals
from sweeps.tracking.uri import pages_address

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_FORMATS = (".png", ".svg", ".pdf")


def main() -> None:
    """Run the command line."""
    app()


@app.callback(invoke_without_command=True)
def _commands(context: typer.Context) -> None:
    """What a reader sees of a sweep: without a command, the live page."""
    if context.invoked_subcommand is None:
        serve()


@app.command()
def serve(
    storage: StorageOption = RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8050,
    mlflow: Annotated[
        str | None, typer.Option(help="Where MLflow's pages are: a server's, or those of `python -m sweeps ui`.")
    ] = None,
) -> None:
    """Show sweeps as they are now on a page on this machine, until Ctrl-C. This is what runs without a command.

    Example: python -m dashboards serve --port 8051
    """
    with refusals():
        from dashboards.live.server import HOST
        from dashboards.live.server import serve as serve_pages

        _say(f"sweeps: http://{HOST}:{port} (Ctrl-C ends it)")
        serve_pages(storage, port, mlflow or pages_address(storage))


@app.command()
def front(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    output: Annotated[
        Path | None, typer.Option(help="A .png, .svg or .pdf; in the sweep's folder if left out.")
    ] = None,
) -> None:
    """Draw the compute-generalisation front of a sweep.

    Example: python -m dashboards front --output front.png
    """
    with refusals():
        from dashboards.front_figure import draw_front

        chosen = subject(storage.existing(sweep), storage)
        path = _drawable(output or storage.path / chosen / "front.png")
        draw_front(Frames.of(tables(chosen, storage)), path)
    _say(f"drawn to {path}")


@app.command()
def report(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the page; `report` in the sweep's folder if left out.")
    ] = None,
    with_tables: Annotated[bool, typer.Option("--tables", help="Also write the Parquet files of `export`.")] = False,
) -> None:
    """Write what a sweep found as one page that needs no network, with its main figures as pictures beside it.

    `python -m sweeps report` is the same. Example: python -m dashboards report digits-20261122-191500
    """
    with refusals():
        from dashboards.report.page import write_report

        chosen = storage.existing(sweep)
        found, folder = tables(chosen, storage), output or storage.path / chosen / "report"
        written = write_report(Frames.of(found), folder)
        if with_tables:
            written += write(found, folder / FOLDER)
        for path in written:
            _say(f"written to {path}")


def _drawable(path: Path) -> Path:
    """`path` if a picture can be written there; `Refusal` otherwise."""
    if path.suffix not in _FORMATS or not path.parent.is_dir():
        formats = ", ".join(_FORMATS)
        raise Refusal(f"a picture is a {formats} in a folder that is there, and --output is {path}. Give another path")
    return path


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)
