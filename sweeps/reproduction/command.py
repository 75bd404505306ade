"""`reproduce`: a trial again, with a verdict, or with fresh seeds."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from search_spaces.secrets import redacted
from sweeps.commands.options import RESULTS, JsonOption, StorageOption, out, print_json
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal, refusals
from sweeps.results import Results

if TYPE_CHECKING:
    from sweeps.reproduction.comparison import Rules
    from sweeps.reproduction.reproduce import Reproduction, Settings
    from sweeps.reproduction.spread import Spread

_RUN = re.compile(r"[0-9a-f]{32}")
_SHOWN = 12

_TOLERANCE = "On another platform: how far a final metric may be, as a share of it and at least absolutely."


def reproduce(
    target: Annotated[str, typer.Argument(metavar="RUN|SWEEP:TRIAL", help="A run of MLflow, or a sweep and a number.")],
    storage: StorageOption = RESULTS,
    seeds: Annotated[int | None, typer.Option(min=2, help="Train so many fresh seeds, and show how far apart.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads, if not as many as the trial had.")] = None,
    current_code: Annotated[bool, typer.Option("--current-code", help="Today's code instead of the trial's.")] = False,
    tolerance: Annotated[float, typer.Option(min=0, help=_TOLERANCE)] = 0.02,
    as_json: JsonOption = False,
) -> None:
    """Train a trial again with its code, data and config; exit 5 unless it ends as it did, to the last bit.

    Examples: python -m sweeps reproduce digits-20261122-191500:12, reproduce digits-20261122-191500:12 --seeds 5
    """
    with refusals(), _target(target, storage) as (ledger, history, number):
        from sweeps.reproduction.reproduce import Settings

        settings = Settings(threads, current_code, tolerance)
        if seeds is not None:
            _seeds(ledger, history, number, storage, settings, seeds, as_json)
            return
        code = _verdict(ledger, history, number, storage, settings, as_json)
    raise SystemExit(code)


def _verdict(
    ledger: Ledger, history: History, number: int, storage: Results, settings: "Settings", as_json: bool
) -> int:
    from sweeps.reproduction import spread
    from sweeps.reproduction.reproduce import reproduced, spread_of
    from trainables.storage import Storage

    found, folder = reproduced(ledger, history, number, storage, settings), Storage(storage.folder(ledger.sweep))
    if found.needs_seeds:
        typer.echo(
            f"{found.judged.first}: training {spread.LEAST_SEEDS} fresh seeds, to know how far seeds are apart",
            err=True,
        )
        spread.keep(folder, spread_of(ledger, history, number, storage, settings, spread.LEAST_SEEDS))
        rules = replace(found.rules, deviations=spread.known_deviations(ledger, storage, number))
        found = replace(found, rules=rules)
    record = found.to_json()
    name = spread.reproductions(number, f"{found.at:%Y%m%d-%H%M%S-%f}/reproduction.json")
    folder.write(name, json.dumps(record, indent=2).encode())
    counted = {"values/compared": found.judged.compared, "values/differing": len(found.judged.differing)}
    _show(record, _verdict_table(found), as_json)
    _log(ledger, storage, number, found.judged.kind, record, counted)
    if not as_json:
        out.print(_conclusion(found), style="bold", markup=False, highlight=False, soft_wrap=True)
        out.print(f"written to {storage}/{ledger.sweep}/{name}", markup=False, highlight=False, soft_wrap=True)
    return found.exit_code


def _seeds(
    ledger: Ledger, history: History, number: int, storage: Results, settings: "Settings", seeds: int, as_json: bool
) -> None:
    from sweeps.reproduction import spread
    from sweeps.reproduction.reproduce import spread_of
    from trainables.storage import Storage

    found = spread_of(ledger, history, number, storage, settings, seeds)
    spread.keep(Storage(storage.folder(ledger.sweep)), found)
    _show(found.to_json(), _spread_table(found), as_json)
    deviations = {f"{name}/{key}": each[key] for name, each in found.metrics.items() for key in ("mean", "deviation")}
    _log(ledger, storage, number, "seeds", found.to_json(), deviations)


@contextmanager
def _target(target: str, storage: Results) -> Iterator[tuple[Ledger, History, int]]:
    """The ledger of what is to be reproduced, its history, and the trial's number. Raises `Refusal`."""
    uid: str | None = None
    if _RUN.fullmatch(target):
        from sweeps.tracking.reproductions import sweep_and_trial
        from sweeps.tracking.uri import tracking_uri

        sweep, number, uid = sweep_and_trial(tracking_uri(storage), target)
    else:
        sweep, _, trial = target.partition(":")
        if not re.fullmatch(r"[0-9]{1,9}", trial):
            raise Refusal(
                f"what is reproduced is the id of a run in MLflow or SWEEP:TRIAL, and this is {target!r}. "
                "Write digits-20261122-191500:12, say"
            )
        number = int(trial)
    with Ledger.open(storage.ledger(storage.existing(sweep))) as ledger:
        if uid not in (None, ledger.uid):
            raise Refusal(f"run {target} is of another sweep that was called '{sweep}' too. Give SWEEP:TRIAL")
        yield ledger, History.of(ledger.events()), number


def _show(record: dict[str, Any], table: Table, as_json: bool) -> None:
    if as_json:
        print_json(record)
    else:
        out.print(table)


def _log(
    ledger: Ledger, storage: Results, number: int, verdict: str, record: dict[str, Any], metrics: Mapping[str, float]
) -> None:
    """To MLflow; where that cannot be written, the verdict stands without it."""
    from sweeps.tracking.of_sweep import tracking
    from sweeps.tracking.reproductions import log_reproduction

    try:
        log_reproduction(tracking(ledger.sweep, ledger.spec, storage), ledger.uid, number, verdict, record, metrics)
    except Refusal as refusal:
        typer.echo(f"not in MLflow: {redacted(str(refusal))}", err=True)


def _verdict_table(found: "Reproduction") -> Table:
    table = Table(title=f"Trial {found.trial} of {found.sweep}, trained again with {found.code}", title_justify="left")
    for heading in ("", "recorded", "again", ""):
        table.add_column(heading, overflow="fold")
    for name, (recorded, again) in found.digests.items():
        table.add_row(f"{name} digest", _short(recorded), _short(again), _mark(recorded == again))
    table.add_row("threads", *map(str, found.threads), _mark(found.threads[0] == found.threads[1]))
    for name, (old, new) in found.environment.items():
        table.add_row(name, _short(old), _short(new), "differs")
    same = found.judged.compared - len(found.judged.differing)
    table.add_row("values", str(found.judged.compared), f"{same} bit-equal", _mark(not found.judged.differing))
    for value in found.judged.differing[:_SHOWN]:
        table.add_row(f"{value.name} at step {value.step}", _short(value.recorded), _short(value.again), "differs")
    if (more := len(found.judged.differing) - _SHOWN) > 0:
        table.add_row(f"and {more} more (--json)", "", "", "")
    return table


def _conclusion(found: "Reproduction") -> str:
    conclusion = f"{found.judged.kind} ({found.where}{'' if found.rules.bitwise else _bounds(found.rules)})"
    return f"{conclusion}: {found.judged.first}" if found.judged.first else conclusion


def _bounds(rules: "Rules") -> str:
    seeds = " or 3 deviations over seeds" if rules.deviations else ""
    return f", final metrics within {rules.tolerance:.0%}{seeds}"


def _spread_table(found: "Spread") -> Table:
    table = Table(
        title=f"Trial {found.trial} of {found.sweep} with {len(found.seeds)} fresh seeds", title_justify="left"
    )
    table.add_column("")
    for heading in ("recorded", "mean", "deviation", "least", "most"):
        table.add_column(heading, justify="right")
    for name, each in found.metrics.items():
        table.add_row(
            name,
            *(f"{each[key]:.4g}" if key in each else "-" for key in ("recorded", "mean", "deviation", "least", "most")),
        )
    return table


def _short(value: float | str | None) -> str:
    """A digest by its beginning, a number with all its digits."""
    text = "unknown" if value is None else value or "none" if isinstance(value, str) else repr(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{40,}", text) else text


def _mark(same: bool) -> str:
    return "same" if same else "differs"
