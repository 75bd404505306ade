"""`publish`: a sweep's best student as a registered model of MLflow."""

from typing import Annotated

import typer

from sweeps.commands.options import RESULTS, StorageOption, SweepArgument, out
from sweeps.confirmation import plan
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal, refusals
from sweeps.results import Results


def publish(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    trial: Annotated[int | None, typer.Option(min=0, help="Another trial than the best confirmed one.")] = None,
) -> None:
    """Register the best confirmed student in MLflow as @champion of the sweep's name, without a confirmation the knee.

    Example: python -m sweeps publish digits-20261122-191500
    """
    with refusals():
        _publish(plan.subject(storage.existing(sweep), storage), storage, trial)


def publish_confirmed(sweep: str, storage: Results) -> None:
    """What a confirmation ends with. That MLflow does not take it is said, and no more: `publish` can be run again."""
    try:
        _publish(sweep, storage)
    except Refusal as refusal:
        out.print(f"not published: {refusal}", style="red", markup=False, highlight=False, soft_wrap=True)


def _publish(sweep: str, storage: Results, trial: int | None = None) -> None:
    from sweeps import champion

    with Ledger.open(storage.ledger(sweep)) as ledger:
        found = champion.publish(ledger, storage, trial)
    what = "registered" if found.new else "registered already:"
    lines = [
        f"{what} {found.name} version {found.version} in MLflow, @champion: trial {found.trial}, {found.trust}",
        f"load it:  mlflow.pyfunc.load_model('models:/{found.name}@champion')",
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
