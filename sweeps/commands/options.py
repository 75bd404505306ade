"""What commands share: their options, and how they print."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sweeps.results import DEFAULT, Results

out = Console(width=None if sys.stdout.isatty() else 160)

StorageOption = Annotated[
    Results,
    typer.Option(
        "--storage",
        parser=lambda given: given if isinstance(given, Results) else Results(given),
        metavar="PLACE",
        help="Folder or URI that holds sweeps and caches, and MLflow's database.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
SetOption = Annotated[list[str], typer.Option("--set", help="Override a key of the file, such as search.seed=3.")]
FileArgument = Annotated[Path, typer.Argument(help="A sweep file (YAML).")]
SweepArgument = Annotated[str | None, typer.Argument(help="A sweep's id; the newest one if left out.")]
AddressOption = Annotated[str | None, typer.Option("--address", help="http://host:port of a cluster's dashboard.")]
JoinOption = Annotated[
    str | None, typer.Option("--address", help="Train on the Ray cluster at host:port, or `auto` in a job of it.")
]
OpenClusterOption = Annotated[bool, typer.Option(help="The cluster asks nobody for a token, and that is meant.")]
InstallOption = Annotated[bool, typer.Option("--install", help="Install the packages of the lock on each node.")]
RESULTS = Results(DEFAULT)


def print_json(value: Any) -> None:
    """To standard output, indented."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
