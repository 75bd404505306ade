"""The command `export`."""

from pathlib import Path
from typing import Annotated

import typer

from sweeps.commands.options import RESULTS, StorageOption, SweepArgument, out
from sweeps.refusals import Refusal, refusals


def export(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the files; `tables` in the sweep's folder if left out.")
    ] = None,
) -> None:
    """Write a sweep's trials, reports, front and progress as Parquet, for pandas, DuckDB or Spark.

    Example: python -m sweeps export digits-20261122-191500 --output tables
    """
    with refusals():
        from sweeps.export import files

        chosen = storage.existing(sweep)
        tables = files.tables(chosen, storage)
        folder = output or storage.path / chosen / files.FOLDER
        try:
            written = files.write(tables, folder)
        except OSError as error:
            raise Refusal(f"tables are written to a folder, and {folder} is not one to write in: {error}") from error
        for path, (name, table) in zip(written, tables.named().items(), strict=True):
            shape = f"{table.num_rows} {name}, {table.num_columns} columns"
            out.print(f"{path}: {shape}", markup=False, highlight=False, soft_wrap=True)
