"""What a log shows of a sweep while it runs."""

import io
import logging
import time
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import pytest
from rich.console import Console

from sweeps.ledger.store import Ledger
from sweeps.live import LiveView
from tests.sweeps import stories


class NoOutbox:
    last_error: str | None = None
    lag = 0


def shown_until(printed: io.StringIO, words: str, then: Callable[[], None]) -> None:
    deadline = time.monotonic() + 20
    while words not in printed.getvalue():
        assert time.monotonic() < deadline, printed.getvalue()
        time.sleep(0.01)
    then()


def test_what_slots_do_is_shown_once_each_until_a_trial_has_started(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path, "sweep", {"file": {"goals": stories.GOALS}})
    ledger.claim()
    ledger.append(stories.opened())
    printed, says = io.StringIO(), {0: "loads the data", 1: "loads the data"}
    with LiveView(tmp_path, NoOutbox(), Console(file=printed, width=200)) as view:
        view.preparing = lambda: dict(says)
        shown_until(printed, "slot 1 loads", lambda: says.update({0: "warms up"}))
        shown_until(printed, "slot 0 warms up", lambda: None)
        for event in (stories.planned(0), stories.started(0)):
            ledger.append(event)
        shown_until(printed, "trial 0 started", lambda: says.update({1: "is late"}))
    ledger.close()
    lines = [line.split(" ", 1)[1] for line in printed.getvalue().splitlines()]
    assert [line for line in lines if line.startswith("slot")] == [
        "slot 0 loads the data",
        "slot 1 loads the data",
        "slot 0 warms up",
    ]


def test_events_are_log_records_of_their_trial_where_json_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SWEEPS_LOG_FORMAT", "json")
    ledger = Ledger.create(tmp_path, "sweep", {"file": {"goals": stories.GOALS}})
    ledger.claim()
    printed = io.StringIO()
    with caplog.at_level(logging.INFO), LiveView(tmp_path, NoOutbox(), Console(file=printed, width=200)):
        for event in (stories.opened(), *stories.trial_story(3, 0.5, rungs=1)):
            ledger.append(event)
    ledger.close()
    of_trial = [record for record in caplog.records if hasattr(record, "trial")]
    assert [record.getMessage().split(":")[0] for record in of_trial] == [
        "trial 3 started in slot 1",
        "trial 3 at 25%",
        "trial 3 complete",
    ]
    assert set(map(attrgetter("sweep", "trial", "attempt"), of_trial)) == {("sweep", 3, 1)}
    assert printed.getvalue() == ""
