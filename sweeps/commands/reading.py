"""The commands that read what a sweep found: `status`, `front` and `best`. They load neither Ray nor torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from search_spaces.policies import Budget
from sweeps.commands.jobs import ask
from sweeps.commands.options import (
    RESULTS,
    AddressOption,
    JsonOption,
    StorageOption,
    SweepArgument,
    out,
    print_json,
)
from sweeps.confirmation import plan
from sweeps.confirmation.report import Confirmation, confirmed, shown
from sweeps.constraints import constraints_of
from sweeps.export.about import state_of
from sweeps.front import best as best_of
from sweeps.front import front as front_of
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.named_numbers import parsed_bounds
from sweeps.refusals import refusals
from sweeps.results import Results
from sweeps.spending import in_force, used
from sweeps.tables import collapsed_trials, cost_so_far, sweep_panel, trials_table, varying

_AT_LEAST = "Lower bound: metric=number, or a number for the first goal to maximize."
_AT_MOST = "Upper bound: metric=number, or a number for the first goal to minimize."


def status(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far a sweep is, from its ledger alone.

    Example: python -m sweeps status
    """
    if address:
        ask(address, sweep, "status", storage, ["--json"] * as_json)
        return
    with refusals(), opened(sweep, storage) as (ledger, history):
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
                    "failed": {t.number: f"{t.failure}: {t.message}" for t in failed(history)},
                    "collapsed": collapsed_trials(history),
                }
            )
            return
        state = state_of(ledger, history)
        out.print(sweep_panel(ledger.sweep, history, file, f"state: {state}"))
        for trial in failed(history):
            out.print(f"trial {trial.number} failed: {trial.failure}: {trial.message}", style="red", markup=False)
        for number, sets in collapsed_trials(history).items():
            out.print(f"trial {number} collapsed: its features hardly differ on {', '.join(sets)}", style="yellow")


def front(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """The compute-generalisation front of a sweep, cheapest point first, and what fresh seeds say of it.

    Example: python -m sweeps front --json
    """
    if address:
        ask(address, sweep, "front", storage, ["--json"] * as_json)
        return
    with refusals(), subject(sweep, storage) as (ledger, history):
        file, confirmation = ledger.spec["file"], confirmed(ledger, storage)
        if as_json:
            print_json([_record(trial, confirmation) for trial in _front(history, file)])
            return
        print_front(history, file)
        if confirmation:
            out.print(shown(confirmation, history))


def best(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    at_least: Annotated[list[str], typer.Option("--at-least", "--min-accuracy", help=_AT_LEAST)] = [],  # noqa: B006
    at_most: Annotated[list[str], typer.Option("--at-most", "--budget", help=_AT_MOST)] = [],  # noqa: B006
    at_knee: Annotated[bool, typer.Option("--knee", help="The knee of the points within the bounds.")] = False,
    emit: Annotated[Path | None, typer.Option(help="Write a sweep file that trains this point, to be run.")] = None,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """The point to take: the knee, or within bounds the best goal without one. Confirmed points only, if there are any.

    Examples: python -m sweeps best --budget 0.5, --min-accuracy 0.6, --at-most compute/peak_bytes=1e9
    """
    if address:
        bounds_given = [*(f"--at-least={each}" for each in at_least), *(f"--at-most={each}" for each in at_most)]
        ask(address, sweep, "best", storage, [*bounds_given, *["--knee"] * at_knee, *["--json"] * as_json])
        return
    with refusals(), subject(sweep, storage) as (ledger, history):
        file, confirmation = ledger.spec["file"], confirmed(ledger, storage)
        goals, points = file["goals"], confirmation.front() if confirmation else _front(history, file)
        bounds = parsed_bounds(at_least, goals, "maximize"), parsed_bounds(at_most, goals, "minimize")
        chosen = best_of(points, goals, *bounds, at_knee)
        if emit:
            from sweeps.point_file import write_point

            write_point(emit, ledger, chosen)
        if as_json:
            print_json(_record(chosen, confirmation))
            return
        why = "within the bounds" if at_least or at_most else "the knee of the front"
        out.print(trials_table(f"Best: {why}", [chosen], goals, varying(history.trials.values())))
        trust = confirmation and confirmation.of(chosen.number)
        unconfirmed = f"not confirmed: python -m sweeps confirm {ledger.sweep}{storage.flag}"
        out.print(str(trust) if trust else unconfirmed, markup=False, highlight=False, soft_wrap=True)
        out.print(yaml.safe_dump({"trial": chosen.config}, sort_keys=False), markup=False, highlight=False)


def _front(history: History, file: dict[str, Any]) -> list[TrialRecord]:
    return front_of(history.trials.values(), file["goals"], constraints_of(file))


def print_front(history: History, file: dict[str, Any]) -> None:
    """The front as a table."""
    points = _front(history, file)
    if not points:
        out.print("the front is empty: no trial is complete yet")
        return
    title = "Front: complete trials that no other beats"
    out.print(trials_table(title, points, file["goals"], varying(history.trials.values())))
    out.print("Chosen on validation; test/ is reported only.", style="dim")


def failed(history: History) -> list[TrialRecord]:
    """The trials that failed."""
    return [trial for trial in history.trials.values() if trial.state == "failed"]


def _record(trial: TrialRecord, confirmation: Confirmation | None) -> dict[str, Any]:
    point = confirmation and confirmation.of(trial.number)
    record = {"trial": trial.number, "state": trial.state, "metrics": trial.metrics, "config": trial.config}
    return {**record, "confirmed": point.to_json() if point else None}


@contextmanager
def subject(sweep: str | None, storage: Results) -> Iterator[tuple[Ledger, History]]:
    """As `opened`, but for a confirmation the sweep that it confirms, which has the front that is meant."""
    with opened(plan.subject(storage.existing(sweep), storage), storage) as found:
        yield found


@contextmanager
def opened(sweep: str | None, storage: Results) -> Iterator[tuple[Ledger, History]]:
    """The ledger of a sweep, to read, and all that it says."""
    with Ledger.open(storage.ledger(storage.existing(sweep))) as ledger:
        yield ledger, History.of(ledger.events())
