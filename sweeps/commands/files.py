"""The commands about what could run: `validate`, `preview` and `methods`. They start nothing."""

from typing import Annotated

import typer

from sweeps.commands.options import RESULTS, FileArgument, JsonOption, SetOption, StorageOption, out, print_json
from sweeps.refusals import refusals


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
