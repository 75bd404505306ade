"""Log lines as JSON, an object a line, which say what sweep, trial and attempt they are about: for machines to read.

Turned on by ``SWEEPS_LOG_FORMAT=json`` in the environment of a driver; its workers inherit it.
"""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

SWITCH = "SWEEPS_LOG_FORMAT"

_IDS = ("sweep", "trial", "attempt")

_about: dict[str, Any] = {}


class JsonLines(logging.Formatter):
    """A record as JSON: its ids are those of `extra`, or else of what the process is at (`about`)."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about,
            **{name: getattr(record, name) for name in _IDS if hasattr(record, name)},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def wanted() -> bool:
    """Whether the environment asks for JSON."""
    return os.environ.get(SWITCH) == "json"


def environment() -> dict[str, str]:
    """What a worker on another machine needs of this environment, to log as this process does."""
    return {SWITCH: "json"} if wanted() else {}


def start(**ids: Any) -> None:
    """Log to standard error as JSON from now on, if the environment asks for it."""
    if wanted():
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logging.basicConfig(handlers=[handler], force=True)
        about(**ids)


def about(**ids: Any) -> None:
    """What this process is at: `sweep`, `trial`, `attempt`; others stay as they are."""
    _about.update(ids)
