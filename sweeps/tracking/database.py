"""A new MLflow database, whole or not at all."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def create_database(uri: str, client: Callable[..., Any]) -> None:
    """Have MLflow (`client` is its `MlflowClient`) make the SQLite file of `uri`, if that is one and there is none.

    It takes seconds and dozens of steps, and a file left between two of them MLflow refuses for ever after. So it is
    made under another name, and given its own when it is whole.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or "?" in uri or path.exists():
        return
    made = path.with_name(f"{path.name}.{os.getpid()}.new")
    made.unlink(missing_ok=True)  # of a process that was killed, and had this number
    client(tracking_uri=f"sqlite:///{made}").search_experiments()
    with suppress(FileExistsError):  # another process was faster
        path.hardlink_to(made)
    made.unlink()
