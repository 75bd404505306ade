"""The command line: submit a sweep, watch it, read what came out.

Exit codes: 0 done; 2 bad usage or config, nothing started; 3 finished, some trials failed; 5 a trial could not be
reproduced; 6 a security or integrity check refused; 4, 130 and 143 (a signal) stopped, can be resumed. Commands that
only read load neither Ray nor torch.
"""

import typer

from sweeps.commands.driving import confirm, resume, run
from sweeps.commands.files import methods, preview, validate
from sweeps.commands.jobs import logs, stop, submit
from sweeps.commands.ledger import audit, backup
from sweeps.commands.mlflow import sync, ui
from sweeps.commands.publish import publish
from sweeps.commands.reading import best, front, status
from sweeps.commands.report import report
from sweeps.data.commands import app as data
from sweeps.doctor.command import doctor
from sweeps.export.command import export
from sweeps.manifests.command import render
from sweeps.reproduction.command import reproduce

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__.split("\n")[0], rich_markup_mode=None)

_COMMANDS = (
    (validate, preview, methods),
    (run, submit, render, resume, stop),
    (status, logs, front, confirm, best, report, export, reproduce),
    (sync, ui, publish),
    (backup, audit, doctor),
)

for group in _COMMANDS:  # in the order of a sweep's life
    for command in group:
        app.command()(command)
app.add_typer(data, name="data")


def main() -> None:
    """Run the command line; every refusal is one message on stderr and an exit code."""
    app()
