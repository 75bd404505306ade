"""The command line: submit a sweep, watch it, read what came out.

Exit codes: 0 done; 2 bad usage or config, nothing started; 3 finished, some trials failed; 6 a security or integrity
check refused; 4, 130 and 143 (a signal) stopped, can be resumed. Commands that only read load neither Ray nor torch.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml

from search_spaces.policies import Budget
from search_spaces.secrets import redacted
from sweeps.command_options import (
    RESULTS,
    FileArgument,
    JsonOption,
    SetOption,
    StorageOption,
    SweepArgument,
    out,
    print_json,
)
from sweeps.confirmation import plan
from sweeps.confirmation.report import Confirmation, confirmed, shown
from sweeps.constraints import constraints_of
from sweeps.doctor.command import doctor
from sweeps.export.about import state_of
from sweeps.export.command import export
from sweeps.front import best as best_of
from sweeps.front import front as front_of
from sweeps.ids import check_id, existing, new_id
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.ledger_commands import audit, backup
from sweeps.named_numbers import named_numbers, parsed_bounds
from sweeps.refusals import Refusal, refusals
from sweeps.report_command import report
from sweeps.signals import Interrupted
from sweeps.spending import in_force, used
from sweeps.tables import collapsed_trials, cost_so_far, sweep_panel, trials_table, varying

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__.split("\n")[0], rich_markup_mode=None)

_AT_LEAST = "Lower bound: metric=number, or a number for the first goal to maximize."
_AT_MOST = "Upper bound: metric=number, or a number for the first goal to minimize."


def main() -> None:
    """Run the command line; every refusal is one message on stderr and an exit code."""
    app()


@app.command()
def validate(file: FileArgument, overrides: SetOption = [], as_json: JsonOption = False) -> None:  # noqa: B006
    """Check a sweep file and show what it would run; nothing is started.

    Example: python -m sweeps validate search_spaces/digits.yaml --set budget.trials=64
    """
    with refusals():
        from search_spaces.sweep_file import load
        from sweeps.outline import outline, outline_table

        described = outline(load(file, overrides))
    if as_json:
        print_json(described)
    else:
        out.print(outline_table(described))


@app.command()
def preview(
    file: FileArgument,
    overrides: SetOption = [],  # noqa: B006
    storage: StorageOption = RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Say what a sweep would take: trials, compute, memory, time on this machine, what stopping saves. None is trained.

    Example: python -m sweeps preview search_spaces/tradeoff.yaml --set budget.trials=64
    """
    with refusals():
        from search_spaces.sweep_file import load
        from sweeps.preview.page import preview_page
        from sweeps.preview.preview import preview as preview_of

        described = preview_of(load(file, overrides), storage)
    if as_json:
        print_json(described)
    else:
        out.print(preview_page(described), highlight=False)


@app.command()
def methods(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of the README.")] = False,
) -> None:
    """List every objective, memory, sampler, policy, model, probe and preset, with its source and its departures.

    Example: python -m sweeps methods
    """
    from sweeps.methods import methods_markdown, methods_table

    if markdown:
        typer.echo(methods_markdown())
    else:
        out.print(methods_table(), highlight=False)


@app.command()
def run(
    file: FileArgument,
    overrides: SetOption = [],  # noqa: B006
    storage: StorageOption = RESULTS,
    sweep: Annotated[str | None, typer.Option("--id", help="Id of the sweep; made from its name and the time.")] = None,
) -> None:
    """Run a sweep on this machine, to its end.

    Example: python -m sweeps run search_spaces/digits.yaml
    """
    with refusals():
        from search_spaces.sweep_file import load
        from sweeps import session
        from sweeps.outline import cautions

        loaded = load(file, overrides)
        for caution in cautions(loaded):
            out.print(f"caution: {caution}", highlight=False, markup=False)
        sweep = check_id(new_id(loaded.file.name) if sweep is None else sweep)
        session.create(loaded, storage, sweep)
    out.print(f"sweep {sweep} in {storage / sweep}", highlight=False)
    _drive(storage, sweep)


@app.command()
def resume(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    accept_changed_code: Annotated[bool, typer.Option(help="Go on although the code is not what it was.")] = False,
    budget: Annotated[list[str], typer.Option(help="A new cap for the whole sweep, such as cost_s=100.")] = [],  # noqa: B006
) -> None:
    """Continue a sweep that was interrupted, or that is given more; finished trials stay as they are.

    Example: python -m sweeps resume digits-20261122-191500 --budget trials=80
    """
    with refusals():
        chosen = existing(sweep, storage)
        given = named_numbers(budget, "a budget is cap=number", "cost_s=100")
    _drive(storage, chosen, accept_changed_code=accept_changed_code, budget=given)


@app.command()
def status(sweep: SweepArgument = None, storage: StorageOption = RESULTS, as_json: JsonOption = False) -> None:
    """How far a sweep is, from its ledger alone.

    Example: python -m sweeps status
    """
    with refusals(), _opened(sweep, storage) as (ledger, history):
        file = ledger.spec["file"]
        within = in_force(Budget.model_validate(file["budget"]), history)
        if as_json:
            print_json(
                {
                    "sweep": ledger.sweep,
                    "state": state_of(ledger, history),
                    "trials": history.counts(),
                    "budget": within.model_dump(exclude_none=True),
                    "used": used(within, history),
                    "cost_s": cost_so_far(history),
                    "front": [trial.number for trial in _front(history, file)],
                    "failed": {t.number: f"{t.failure}: {t.message}" for t in _failed(history)},
                    "collapsed": collapsed_trials(history),
                }
            )
            return
        state = state_of(ledger, history)
        out.print(sweep_panel(ledger.sweep, history, file, f"state: {state}"))
        for trial in _failed(history):
            out.print(f"trial {trial.number} failed: {trial.failure}: {trial.message}", style="red", markup=False)
        for number, sets in collapsed_trials(history).items():
            out.print(f"trial {number} collapsed: its features hardly differ on {', '.join(sets)}", style="yellow")


@app.command()
def front(sweep: SweepArgument = None, storage: StorageOption = RESULTS, as_json: JsonOption = False) -> None:
    """The compute-generalisation front of a sweep, cheapest point first, and what fresh seeds say of it.

    Example: python -m sweeps front --json
    """
    with refusals(), _subject(sweep, storage) as (ledger, history):
        file, confirmation = ledger.spec["file"], confirmed(ledger, storage)
        if as_json:
            print_json([_record(trial, confirmation) for trial in _front(history, file)])
            return
        _print_front(history, file)
        if confirmation:
            out.print(shown(confirmation, history))


@app.command()
def best(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    at_least: Annotated[list[str], typer.Option("--at-least", "--min-accuracy", help=_AT_LEAST)] = [],  # noqa: B006
    at_most: Annotated[list[str], typer.Option("--at-most", "--budget", help=_AT_MOST)] = [],  # noqa: B006
    at_knee: Annotated[bool, typer.Option("--knee", help="The knee of the points within the bounds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The point to take: the knee, or within bounds the best goal without one. Confirmed points only, if there are any.

    Examples: python -m sweeps best --budget 0.5, --min-accuracy 0.6, --at-most compute/peak_bytes=1e9
    """
    with refusals(), _subject(sweep, storage) as (ledger, history):
        file, confirmation = ledger.spec["file"], confirmed(ledger, storage)
        goals, points = file["goals"], confirmation.front() if confirmation else _front(history, file)
        bounds = parsed_bounds(at_least, goals, "maximize"), parsed_bounds(at_most, goals, "minimize")
        chosen = best_of(points, goals, *bounds, at_knee)
        if as_json:
            print_json(_record(chosen, confirmation))
            return
        why = "within the bounds" if at_least or at_most else "the knee of the front"
        out.print(trials_table(f"Best: {why}", [chosen], goals, varying(history.trials.values())))
        trust = confirmation and confirmation.of(chosen.number)
        unconfirmed = f"not confirmed: python -m sweeps confirm {ledger.sweep}{_storage_flag(storage)}"
        out.print(str(trust) if trust else unconfirmed, markup=False, highlight=False, soft_wrap=True)
        out.print(yaml.safe_dump({"trial": chosen.config}, sort_keys=False), markup=False, highlight=False)


@app.command()
def confirm(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    seeds: Annotated[int | None, typer.Option(min=2, help="Fresh seeds for each point on average (5).")] = None,
    accept_changed_code: Annotated[bool, typer.Option(help="Go on although the code is not the sweep's.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is known so far as JSON; train nothing.")] = False,
) -> None:
    """Train the front and its neighbours with fresh seeds: which points hold? Continues where it was interrupted.

    Example: python -m sweeps confirm digits-20261122-191500 --seeds 5
    """
    with refusals(), _subject(sweep, storage) as (ledger, _):
        if as_json:
            confirmation = confirmed(ledger, storage)
            if confirmation is None:
                raise Refusal(f"'{ledger.sweep}' has no two fresh seeds of a point yet. Leave --json out to train them")
            print_json(confirmation.to_json())
            return
        from sweeps.confirmation.start import start

        name = start(storage, ledger.sweep, seeds, accept_changed_code)
    out.print(f"sweep {name} in {storage / name}", highlight=False)
    _drive(storage, name, accept_changed_code=accept_changed_code)


@app.command()
def sync(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    rebuild: Annotated[bool, typer.Option(help="Delete the sweep's runs in MLflow first.")] = False,
) -> None:
    """Bring MLflow up to date with the ledger, for example after it was down or deleted.

    Example: python -m sweeps sync --rebuild
    """
    with refusals(), _opened(sweep, storage) as (ledger, _):
        from sweeps.tracking import mirror
        from sweeps.tracking.of_sweep import tracking

        described = tracking(ledger.sweep, ledger.spec, storage)
        written = mirror.sync(ledger.location, described, rebuild=rebuild)
        out.print(f"{written} events written to MLflow")


@app.command()
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


for command in (backup, audit, export, report, doctor):  # which have modules of their own
    app.command()(command)


def _drive(
    storage: Path, sweep: str, *, accept_changed_code: bool = False, budget: dict[str, float] | None = None
) -> NoReturn:
    """Train to the end, then show the front and where to look at it; leaves with the exit code."""
    with refusals():
        from sweeps import session
    try:
        with refusals():
            mirrored = session.drive(storage, sweep, accept_changed_code=accept_changed_code, budget=budget or {})
    except Interrupted as interrupt:
        out.print(f"stopped by a signal; continue with: python -m sweeps resume {sweep}{_storage_flag(storage)}")
        _leave(128 + interrupt.signum)
    except session.Stopped as stopped:
        out.print(redacted(str(stopped)), style="red", markup=False, highlight=False, soft_wrap=True)
        _leave(stopped.exit_code)
    with refusals(), _opened(sweep, storage) as (ledger, history):
        subject = plan.subject(sweep, storage)
        if subject == sweep:
            _print_front(history, ledger.spec["file"])
        else:
            _print_confirmed(subject, storage)
        _print_next(sweep, storage, confirm=subject == sweep)
        if not mirrored:
            out.print(f"MLflow is behind; when it can be reached: python -m sweeps sync {sweep}", style="red")
        raise SystemExit(3 if _failed(history) else 0)


def _leave(code: int) -> NoReturn:
    """End at once, and Ray's processes with it: on an orderly way out its threads would abort with their own code."""
    sys.stdout.flush()
    os._exit(code)


def _front(history: History, file: dict[str, Any]) -> list[TrialRecord]:
    return front_of(history.trials.values(), file["goals"], constraints_of(file))


def _print_front(history: History, file: dict[str, Any]) -> None:
    points = _front(history, file)
    if not points:
        out.print("the front is empty: no trial is complete yet")
        return
    title = "Front: complete trials that no other beats"
    out.print(trials_table(title, points, file["goals"], varying(history.trials.values())))
    out.print("Chosen on validation; test/ is reported only.", style="dim")


def _print_confirmed(sweep: str, storage: Path) -> None:
    with _opened(sweep, storage) as (ledger, history):
        confirmation = confirmed(ledger, storage)
        nothing = "nothing is confirmed: no point has two complete seeds"
        out.print(shown(confirmation, history) if confirmation else nothing)


def _print_next(sweep: str, storage: Path, *, confirm: bool) -> None:
    flag = _storage_flag(storage)
    tracked = os.environ.get("MLFLOW_TRACKING_URI") or f"{storage}/mlflow.db"
    lines = (
        f"stored in {storage / sweep} (ledger, checkpoints) and {redacted(tracked)} (MLflow)",
        f"browse:   python -m sweeps ui{flag}",
        f"picture:  python -m dashboards front {sweep}{flag}",
        f"confirm:  python -m sweeps confirm {sweep}{flag}" if confirm else "",
        f"choose:   python -m sweeps best {sweep}{flag}",
    )
    for line in filter(None, lines):
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def _storage_flag(storage: Path) -> str:
    return "" if storage == RESULTS else f" --storage {storage}"


def _failed(history: History) -> list[TrialRecord]:
    return [trial for trial in history.trials.values() if trial.state == "failed"]


def _record(trial: TrialRecord, confirmation: Confirmation | None) -> dict[str, Any]:
    point = confirmation and confirmation.of(trial.number)
    record = {"trial": trial.number, "state": trial.state, "metrics": trial.metrics, "config": trial.config}
    return {**record, "confirmed": point.to_json() if point else None}


@contextmanager
def _subject(sweep: str | None, storage: Path) -> Iterator[tuple[Ledger, History]]:
    """As `_opened`, but for a confirmation the sweep that it confirms, which has the front that is meant."""
    with _opened(plan.subject(existing(sweep, storage), storage), storage) as opened:
        yield opened


@contextmanager
def _opened(sweep: str | None, storage: Path) -> Iterator[tuple[Ledger, History]]:
    """The ledger of a sweep, to read, and all that it says."""
    with Ledger.open(storage / existing(sweep, storage)) as ledger:
        yield ledger, History.of(ledger.events())
