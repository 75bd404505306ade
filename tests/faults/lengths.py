"""How long fault tests run: a little in every test run, as long as is promised with ``make faults``."""

import os

LONG = os.environ.get("FAULTS") == "long"

#: What was done and what came of it, by promise (`conftest` prints it).
COUNTS: list[tuple[str, str]] = []


def length(short: int, long: int) -> int:
    """So many faults."""
    return long if LONG else short


def count(promise: str, **counts: int) -> None:
    """Have these counts printed beside the promise that they are for, when all tests are done."""
    COUNTS.append((promise, ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counts.items())))
