"""`methods`: everything that a trial can be made of."""

from typing import Annotated

import typer

from sweeps.command_options import out


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
