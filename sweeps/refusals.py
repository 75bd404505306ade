"""Refusals: what a user must change, told as one message and an exit code instead of a traceback."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from search_spaces.errors import ConfigErrors
from sweeps.ledger.errors import LedgerCorrupt, LedgerError, NotALedger

_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):[^/@\s]+@")


class Refusal(Exception):
    """Something that a user asked for and cannot have. The message holds the rule, the value and what to change."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refusal into one message on stderr and an exit code, Ctrl-C into 130; let faults of the program pass."""
    try:
        yield
    except (Refusal, LedgerError, ConfigErrors) as error:
        message = redacted(str(error))
        Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(_exit_code(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def redacted(text: str) -> str:
    """The text with passwords in URIs left out."""
    return _PASSWORD.sub(r"\1:***@", text)


def _exit_code(error: Refusal | LedgerError | ConfigErrors) -> int:
    tampered = isinstance(error, LedgerCorrupt | NotALedger) or (isinstance(error, ConfigErrors) and error.security)
    return 6 if tampered else 2
