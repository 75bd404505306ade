"""The command `report`. The page itself is made by `dashboards`, in a process of its own: nothing here imports it."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from sweeps.commands.options import RESULTS, StorageOption, SweepArgument


def report(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the page; `report` in the sweep's folder if left out.")
    ] = None,
) -> None:
    """Write what a sweep found as one page that needs no network, with its main figures as pictures beside it.

    Example: python -m sweeps report digits-20261122-191500
    """
    named = [sweep] if sweep else []
    aimed = ["--output", str(output)] if output else []
    raise SystemExit(subprocess.run(report_program(*named, "--storage", str(storage), *aimed)).returncode)


def report_program(*arguments: str) -> list[str]:
    """The command line that makes the page."""
    return [sys.executable, "-m", "dashboards", "report", *arguments]
