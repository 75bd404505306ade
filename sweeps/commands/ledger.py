"""The commands that look after a ledger: `backup` and `audit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.commands.options import RESULTS, JsonOption, StorageOption, SweepArgument, out, print_json
from sweeps.ledger.store import Ledger
from sweeps.refusals import refusals

if TYPE_CHECKING:
    from sweeps.audit import Audit

_SHOWN = 20


def backup(
    sweep: Annotated[str, typer.Argument(help="A sweep's id.")],
    destination: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    storage: StorageOption = RESULTS,
) -> None:
    """Copy a sweep's ledger while it is in use, and check the copy. To restore it, put the folder back and `resume`.

    Example: python -m sweeps backup digits-20261122-191500 /backups/digits
    """
    with refusals():
        from sweeps.ledger.backup import backup as copy_of

        with Ledger.open(storage.ledger(storage.existing(sweep))) as ledger:
            events = copy_of(ledger, destination)
    out.print(f"{events} events in {destination}, checked", highlight=False, markup=False, soft_wrap=True)


def audit(sweep: SweepArgument = None, storage: StorageOption = RESULTS, as_json: JsonOption = False) -> None:
    """Compute every suggestion, plan and verdict of a sweep again from its ledger; exit 6 where one differs.

    Example: python -m sweeps audit digits-20261122-191500
    """
    with refusals():
        from sweeps.audit import audit as audit_of

        with Ledger.open(storage.ledger(storage.existing(sweep))) as ledger:
            found = audit_of(ledger)
            if as_json:
                print_json({"sweep": ledger.sweep, "passed": found.passed, **vars(found)})
            else:
                _print_audit(ledger.sweep, found)
    raise SystemExit(0 if found.passed else 6)


def _print_audit(sweep: str, found: "Audit") -> None:
    differing = {each.trial for each in found.differences}
    lines = [
        f"{sweep}: {found.suggestions} suggestions, {found.plans} plans and {found.verdicts} verdicts computed again",
        "" if found.promised else "suggestions were not: nsga2 does not promise to make the same ones again",
        *(f"damage: {problem}" for problem in found.problems),
        *map(str, found.differences[:_SHOWN]),
        f"and {len(found.differences) - _SHOWN} more (--json)" if len(found.differences) > _SHOWN else "",
        f"what may be why: {', '.join(found.changed)}" if found.differences and found.changed else "",
        "all as recorded" if found.passed else f"{len(differing)} trials do not match" if differing else "",
    ]
    for line in filter(None, lines):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
