"""What a sweep looks like while it runs: a live table on a terminal, one line per event anywhere else.

With ``SWEEPS_LOG_FORMAT=json`` the lines are log records (`trainables.json_log`), also on a terminal.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from sweeps.events import Budgeted, Closed, Ended, Event, Granted, Opened, Planned, Reported, Started
from sweeps.front import Goals
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.tables import quantity, sweep_panel
from trainables import json_log
from trainables.metrics import collapsed

_LOG = logging.getLogger(__name__)
_LOG.setLevel(logging.INFO)

_INTERVAL_S = 0.5


class Outbox(Protocol):
    """What the view wants to know of the MLflow writer."""

    last_error: str | None

    @property
    def lag(self) -> int:
        """Events that are not in MLflow yet."""


class LiveView:
    """Follows a ledger in a thread of its own, as any reader would, until the block ends.

    Until a trial has started it also shows what `preparing` says: a line for each slot that is not ready yet.
    """

    def __init__(self, location: Path | str, outbox: Outbox, console: Console | None = None) -> None:
        self._ledger = Ledger.open(location)
        self._goals: Goals = self._ledger.spec["file"]["goals"]
        self._outbox, self._console = outbox, console or Console()
        self._history = History()
        self.preparing: Callable[[], Mapping[int, str]] = dict
        self._shown: Mapping[int, str] = {}
        self._training = False
        self._leave = threading.Event()
        draws = self._console.is_terminal and not json_log.wanted()
        follow: Callable[[], None] = self._draw if draws else self._print
        self._thread = threading.Thread(target=follow, name="live-view", daemon=True)

    def __enter__(self) -> "LiveView":
        """Start to follow."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state and leave."""
        self._leave.set()
        self._thread.join(timeout=5)
        self._ledger.close()

    def _draw(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            last = False
            while not last:
                last = self._leave.wait(_INTERVAL_S)
                self._news()
                live.update(self._panel(), refresh=True)
        self._console.print(self._panel())

    def _panel(self) -> RenderableType:
        self._news_of_slots()
        note = (
            f"MLflow: {self._outbox.last_error}"
            if self._outbox.last_error
            else f"MLflow lag: {self._outbox.lag} events"
        )
        note = "\n".join([note, *(f"slot {slot} {line}" for slot, line in sorted(self._shown.items()))])
        return sweep_panel(self._ledger.sweep, self._history, self._ledger.spec["file"], note)

    def _print(self) -> None:
        last = False
        while not last:
            last = self._leave.wait(_INTERVAL_S)
            for slot, line in self._news_of_slots():
                self._say(datetime.now(), f"slot {slot} {line}")
            for at, event in self._news():
                line = event_line(event, self._goals)
                if line:
                    self._say(at, line, event)

    def _say(self, at: datetime, line: str, event: Event | None = None) -> None:
        if json_log.wanted():
            ids = {name: value for name in ("trial", "attempt") if (value := getattr(event, name, None)) is not None}
            _LOG.info(line, extra={"sweep": self._ledger.sweep, **ids})
        else:
            self._console.print(f"{at:%H:%M:%S} {line}", markup=False, highlight=False, soft_wrap=True)

    def _news_of_slots(self) -> list[tuple[int, str]]:
        """What slots do since the last look, while no trial has started."""
        before, self._shown = self._shown, {} if self._training else dict(self.preparing())
        return [(slot, line) for slot, line in sorted(self._shown.items()) if before.get(slot) != line]

    def _news(self) -> list[tuple[datetime, Event]]:
        news = []
        for seq, at, event in self._ledger.events(after=self._history.last_seq):
            self._history.apply(seq, at, event)
            if isinstance(event, Opened | Started):
                self._training = isinstance(event, Started)
            news.append((at.astimezone(), event))
        return news


def event_line(event: Event, goals: Goals) -> str:
    """One line for a log; empty for what a reader need not see."""
    match event:
        case Opened():
            return f"sweep opened by process {event.pid} on {event.host}"
        case Budgeted():
            return f"budget: {', '.join(f'{cap}={value:g}' for cap, value in event.budget.items())}"
        case Planned() | Granted() | Closed():
            return ""
        case Started():
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return f"trial {event.trial} started in slot {event.slot}{again}"
        case Reported():
            values = _values(event.metrics, goals)
            return f"trial {event.trial} at {event.fidelity:.0%}: {values} -> {event.verdict}"
        case Ended(state="failed"):
            return f"trial {event.trial} failed: {event.failure}: {event.message}"
        case Ended():
            flag = f", collapsed on {', '.join(sets)}" if (sets := collapsed(event.metrics)) else ""
            return f"trial {event.trial} {event.state}: {_values(event.metrics, goals)}{flag}"


def _values(metrics: dict[str, float], goals: Goals) -> str:
    return ", ".join(f"{goal}={quantity(goal, metrics[goal])}" for goal in goals if goal in metrics)
