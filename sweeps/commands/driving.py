"""The commands that train: `run`, `resume` and `confirm`."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from search_spaces.secrets import redacted
from sweeps.commands.jobs import resubmit
from sweeps.commands.options import (
    RESULTS,
    FileArgument,
    InstallOption,
    JoinOption,
    OpenClusterOption,
    SetOption,
    StorageOption,
    SweepArgument,
    out,
    print_json,
)
from sweeps.commands.publish import publish_confirmed
from sweeps.commands.reading import failed, opened, print_front, subject
from sweeps.confirmation import plan
from sweeps.confirmation.report import confirmed, shown
from sweeps.ids import check_id, new_id
from sweeps.named_numbers import named_numbers
from sweeps.refusals import Refusal, refusals
from sweeps.results import Results
from sweeps.signals import Interrupted, end_at_once
from sweeps.slots.address import HERE, RayAt, is_dashboard


def run(
    file: FileArgument,
    overrides: SetOption = [],  # noqa: B006
    storage: StorageOption = RESULTS,
    sweep: Annotated[str | None, typer.Option("--id", help="Id of the sweep; made from its name and the time.")] = None,
    address: JoinOption = None,
    open_cluster: OpenClusterOption = False,
) -> None:
    """Run a sweep to its end, on this machine or from it on a cluster.

    Example: python -m sweeps run search_spaces/digits.yaml
    """
    end_at_once()
    with refusals():
        from search_spaces.sweep_file import load
        from sweeps import session
        from sweeps.outline import cautions

        loaded = load(file, overrides)
        sweep = check_id(new_id(loaded.file.name) if sweep is None else sweep)
        ray_at = RayAt.of(address, open_cluster)
        ray_at.check()
        session.create(loaded, storage, sweep, here=ray_at == HERE)
        for caution in cautions(loaded):
            out.print(f"caution: {caution}", highlight=False, markup=False)
    out.print(f"sweep {sweep} in {storage}/{sweep}", highlight=False)
    _drive(storage, sweep, ray_at)


def resume(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    accept_changed_code: Annotated[bool, typer.Option(help="Go on although the code is not what it was.")] = False,
    budget: Annotated[list[str], typer.Option(help="A new cap for the whole sweep, such as cost_s=100.")] = [],  # noqa: B006
    address: Annotated[
        str | None, typer.Option("--address", help="Where: host:port of Ray, or http://host:port to submit it there.")
    ] = None,
    open_cluster: OpenClusterOption = False,
    install: InstallOption = False,
) -> None:
    """Continue a sweep that was interrupted, or that is given more; finished trials stay as they are.

    Example: python -m sweeps resume digits-20261122-191500 --budget trials=80
    """
    end_at_once()
    with refusals():
        given = named_numbers(budget, "a budget is cap=number", "cost_s=100")
        if is_dashboard(address):
            options = [f"--budget={cap}" for cap in budget] + ["--accept-changed-code"] * accept_changed_code
            resubmit(sweep, storage, str(address), options, open_cluster=open_cluster, install=install)
            return
        if install:
            raise Refusal("packages are installed for a job, and none is submitted; give --address http://host:port")
        chosen, ray_at = storage.existing(sweep), RayAt.of(address, open_cluster)
    _drive(storage, chosen, ray_at, accept_changed_code=accept_changed_code, budget=given)


def confirm(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    seeds: Annotated[int | None, typer.Option(min=2, help="Fresh seeds for each point on average (5).")] = None,
    accept_changed_code: Annotated[bool, typer.Option(help="Go on although the code is not the sweep's.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is known so far as JSON; train nothing.")] = False,
    address: JoinOption = None,
    open_cluster: OpenClusterOption = False,
) -> None:
    """Train the front and its neighbours with fresh seeds: which points hold? Continues where it was interrupted.

    Example: python -m sweeps confirm digits-20261122-191500 --seeds 5
    """
    end_at_once()
    with refusals(), subject(sweep, storage) as (ledger, _):
        if as_json:
            confirmation = confirmed(ledger, storage)
            if confirmation is None:
                raise Refusal(f"'{ledger.sweep}' has no two fresh seeds of a point yet. Leave --json out to train them")
            print_json(confirmation.to_json())
            return
        from sweeps.confirmation.start import start

        ray_at = RayAt.of(address, open_cluster)
        name = start(storage, ledger.sweep, seeds, accept_changed_code)
    out.print(f"sweep {name} in {storage}/{name}", highlight=False)
    _drive(storage, name, ray_at, accept_changed_code=accept_changed_code)


def _drive(
    storage: Results,
    sweep: str,
    ray_at: RayAt,
    *,
    accept_changed_code: bool = False,
    budget: dict[str, float] | None = None,
) -> NoReturn:
    """Train to the end, then show the front and where to look at it; leaves with the exit code."""
    with refusals():
        from sweeps import session
    try:
        with refusals():
            mirrored = session.drive(
                storage, sweep, ray_at, accept_changed_code=accept_changed_code, budget=budget or {}
            )
    except Interrupted as interrupt:
        again = f"python -m sweeps resume {sweep}{storage.flag}"
        out.print(f"stopped by a signal; continue with: {again}", markup=False, highlight=False, soft_wrap=True)
        _leave(128 + interrupt.signum)
    except session.Stopped as stopped:
        out.print(redacted(str(stopped)), style="red", markup=False, highlight=False, soft_wrap=True)
        _leave(stopped.exit_code)
    with refusals(), opened(sweep, storage) as (ledger, history):
        meant = plan.subject(sweep, storage)
        if meant == sweep:
            print_front(history, ledger.spec["file"])
        else:
            _print_confirmed(meant, storage)
            publish_confirmed(meant, storage)
        _print_next(sweep, storage, confirm=meant == sweep)
        if not mirrored:
            sync = f"python -m sweeps sync {sweep}{storage.flag}"
            out.print(f"MLflow is behind; when it can be reached: {sync}", style="red", soft_wrap=True)
        raise SystemExit(3 if failed(history) else 0)


def _leave(code: int) -> NoReturn:
    """End at once, and Ray's processes with it: on an orderly way out its threads would abort with their own code."""
    sys.stdout.flush()
    os._exit(code)


def _print_confirmed(sweep: str, storage: Results) -> None:
    with opened(sweep, storage) as (ledger, history):
        confirmation = confirmed(ledger, storage)
        nothing = "nothing is confirmed: no point has two complete seeds"
        out.print(shown(confirmation, history) if confirmation else nothing)


def _print_next(sweep: str, storage: Results, *, confirm: bool) -> None:
    named = f"{sweep}{storage.flag}"
    drawn, written = ("", "") if storage.is_local else (" --output front.png", " --output report")
    tracked = os.environ.get("MLFLOW_TRACKING_URI") or f"{storage}/mlflow.db"
    lines = (
        f"stored in {storage}/{sweep} (ledger, checkpoints) and {redacted(tracked)} (MLflow)",
        f"browse:   python -m sweeps ui{storage.flag}",
        f"picture:  python -m dashboards front {named}{drawn}",
        f"report:   python -m sweeps report {named}{written}",
        f"confirm:  python -m sweeps confirm {named}" if confirm else "",
        f"choose:   python -m sweeps best {named}",
    )
    for line in filter(None, lines):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
