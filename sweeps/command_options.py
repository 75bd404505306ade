"""What commands share: their options, and how they print."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

out = Console(width=None if sys.stdout.isatty() else 160)

StorageOption = Annotated[
    Path, typer.Option("--storage", help="Folder that holds sweeps, MLflow's database and caches.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
SetOption = Annotated[list[str], typer.Option("--set", help="Override a key of the file, such as search.seed=3.")]
FileArgument = Annotated[Path, typer.Argument(help="A sweep file (YAML).")]
SweepArgument = Annotated[str | None, typer.Argument(help="A sweep's id; the newest one if left out.")]
RESULTS = Path("results")


def print_json(value: Any) -> None:
    """To standard output, indented."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
