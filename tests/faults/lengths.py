"""How long fault tests run: a little in every test run, as long as is promised with ``make faults``."""

import os
from pathlib import Path

LONG = os.environ.get("FAULTS") == "long"


def length(short: int, long: int) -> int:
    """So many faults."""
    return long if LONG else short


def count(promise: str, **counts: int) -> None:
    """Have `make faults` print these counts beside the promise that they are for."""
    if "FAULT_COUNTS" in os.environ:
        line = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counts.items())
        with Path(os.environ["FAULT_COUNTS"]).open("a") as file:
            file.write(f"{promise}\t{line}\n")
