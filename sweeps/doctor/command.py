"""``python -m sweeps doctor``: every check, as a table or as JSON."""

from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from sweeps.commands.options import RESULTS, JsonOption, StorageOption, out, print_json
from sweeps.doctor.finding import Finding, exit_code
from sweeps.results import Results

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    storage: StorageOption = RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Check this machine: versions, devices, storage, MLflow, authentication, ports, leftovers. Nothing is started.

    Exits with 0 without problems (warnings are none), 2 with one that would stop a sweep, 6 with one of security.

    Example: python -m sweeps doctor --storage results
    """
    findings = list(examine(storage))
    code = exit_code(findings)
    if as_json:
        print_json({"exit_code": code, "findings": [finding.to_json() for finding in findings]})
    else:
        out.print(table(findings), highlight=False)
    raise SystemExit(code)


def examine(results: Results) -> Iterator[Finding]:
    """Every check, in order."""
    # Ray and torch take seconds to load, which other commands need not wait for.
    from sweeps.doctor import authentication, devices, leftovers, mlflow, ports, versions
    from sweeps.doctor import storage as places

    yield versions.python_version()
    yield from versions.safe_versions()
    yield versions.as_tested()
    yield from devices.devices()
    yield from places.places(results)
    yield mlflow.mlflow(results)
    yield from authentication.ray_authentication()
    yield from ports.reachable()
    yield from ports.free_ports()
    yield leftovers.orphans()
    yield from leftovers.placement_groups()


def table(findings: Iterable[Finding]) -> Table:
    """The findings for people: what to do stands below what was found."""
    shown = Table("check", "state", "found", box=box.SIMPLE_HEAD, pad_edge=False)
    for finding in findings:
        state = finding.state if not finding.security else f"{finding.state} (security)"
        found = Text(finding.found)
        if finding.fix:
            found.append(f"\n-> {finding.fix}", style="bold")
        shown.add_row(finding.check, Text(state, style=_STYLES[finding.state]), found)
    return shown
