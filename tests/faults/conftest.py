"""After the last test: how many faults there were, as a table."""

from typing import Any

from tests.faults.lengths import COUNTS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not COUNTS:
        return
    terminalreporter.section("faults")
    width = max(len(promise) for promise, _ in COUNTS)
    for promise, counts in COUNTS:
        terminalreporter.line(f"{promise:{width}}  {counts}")
