"""Log lines as JSON: whose they are, and that nothing is JSON that was not asked to be."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from trainables import json_log

PROGRAM = """
import logging
from trainables import json_log
json_log.start(sweep="a-sweep")
log = logging.getLogger("of.a.worker")
log.warning("before any trial, %d words", 4)
json_log.about(trial=7, attempt=2)
log.warning("in a trial")
log.warning("of another", extra={"trial": 8, "attempt": 1})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
log.info("not worth a line")
"""


def lines(**environment: str) -> list[str]:
    given = {**{k: v for k, v in os.environ.items() if k != "SWEEPS_LOG_FORMAT"}, **environment}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=given, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_each_line_is_an_object_that_says_what_it_is_about() -> None:
    found: list[dict[str, Any]] = [json.loads(line) for line in lines(SWEEPS_LOG_FORMAT="json")]
    about = [{name: line.get(name) for name in ("sweep", "trial", "attempt", "message")} for line in found]
    assert about == [
        {"sweep": "a-sweep", "trial": None, "attempt": None, "message": "before any trial, 4 words"},
        {"sweep": "a-sweep", "trial": 7, "attempt": 2, "message": "in a trial"},
        {"sweep": "a-sweep", "trial": 8, "attempt": 1, "message": "of another"},
        {"sweep": "a-sweep", "trial": 7, "attempt": 2, "message": "broken"},
    ]
    assert {line["level"] for line in found[:3]} == {"WARNING"}
    assert {line["logger"] for line in found} == {"of.a.worker"}
    assert "ZeroDivisionError" in found[3]["exception"], "on the same line"


def test_without_the_switch_lines_are_what_they_were() -> None:
    assert "in a trial" in lines()


def test_the_switch_reaches_workers_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json_log.environment() == {}
    monkeypatch.setenv("SWEEPS_LOG_FORMAT", "json")
    assert json_log.environment() == {"SWEEPS_LOG_FORMAT": "json"}
