"""The commands about MLflow: `sync` and `ui`."""

from typing import Annotated

import typer

from sweeps.commands.options import RESULTS, StorageOption, SweepArgument, out
from sweeps.commands.reading import opened
from sweeps.refusals import refusals


def sync(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    rebuild: Annotated[bool, typer.Option(help="Delete the sweep's runs in MLflow first.")] = False,
) -> None:
    """Bring MLflow up to date with the ledger, for example after it was down or deleted.

    Example: python -m sweeps sync --rebuild
    """
    with refusals(), opened(sweep, storage) as (ledger, _):
        from sweeps.tracking import mirror
        from sweeps.tracking.of_sweep import tracking

        described = tracking(ledger.sweep, ledger.spec, storage)
        written = mirror.sync(ledger.location, described, rebuild=rebuild)
        out.print(f"{written} events written to MLflow")


def ui(
    storage: StorageOption = RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open MLflow's pages on this machine, until Ctrl-C.

    Example: python -m sweeps ui --port 5001
    """
    with refusals():
        from sweeps.tracking.pages import serve

        serve(storage, port)
