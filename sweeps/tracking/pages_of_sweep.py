"""What people read of a sweep, made by a process of its own that gives way to training."""

import functools
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from search_spaces.secrets import redacted
from sweeps.commands.report import report_program
from sweeps.results import Results

_LONGEST_S = 120.0
_LOOK_S = 0.1


class PagesFailed(Exception):
    """The pages could not be made; the message is what their program said."""


@functools.cache
def _scratch() -> "tempfile.TemporaryDirectory[str]":
    """A folder that is gone when this process ends."""
    return tempfile.TemporaryDirectory(prefix="report-")


def write_pages(sweep: str, results: Results, cancelled: Callable[[], bool]) -> Path | None:
    """The report and the tables of a sweep, in its folder if it has one here; None if `cancelled` said so first.

    Raises `PagesFailed`. In a process of its own, at the lowest priority: figures take seconds, and a training worker
    needs the cores more.
    """
    folder = results.path / sweep / "report" if results.is_local else Path(_scratch().name)
    command = report_program(sweep, "--storage", str(results), "--output", str(folder), "--tables")
    with tempfile.TemporaryFile("w+") as said:
        nice = ["nice", "-n", "19"] if os.name == "posix" else []
        process = subprocess.Popen([*nice, *command], stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        end = time.monotonic() + _LONGEST_S
        while process.poll() is None:
            if cancelled() or time.monotonic() > end:
                process.kill()
                process.wait()
                if time.monotonic() <= end:
                    return None
            time.sleep(_LOOK_S)
        if process.returncode == 0:
            return folder
        said.seek(0)
        raise PagesFailed(redacted(said.read().strip()[-500:]) or f"it took longer than {_LONGEST_S:.0f} s")
