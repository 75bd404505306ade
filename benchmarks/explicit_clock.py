"""An event loop whose time is simulated: nobody waits, and the clock moves on when there is nothing left to do."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _NoWaiting(selectors.DefaultSelector):  # the best one of the platform
    """Takes the time that it was to wait as passed."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0.0
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        return found


class ExplicitClock(asyncio.SelectorEventLoop):
    """`asyncio.sleep` in it lasts as long as what else is to be done meanwhile, whatever its argument."""

    def __init__(self) -> None:
        self._selected = _NoWaiting()
        super().__init__(self._selected)

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._selected.now_s


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """As `asyncio.run`, by an explicit clock."""
    with asyncio.Runner(loop_factory=ExplicitClock) as runner:
        return runner.run(main)
