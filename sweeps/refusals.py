"""Refusals: what a user must change, told as one message and an exit code instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from search_spaces.errors import ConfigErrors
from search_spaces.secrets import redacted
from sweeps.ledger.errors import LedgerCorrupt, LedgerError, NotALedger
from trainables.outcomes import DamagedFile, NewerFile


class Refusal(Exception):
    """Something that a user asked for and cannot have. The message holds the rule, the value and what to change."""


class Unsafe(Refusal):
    """A refusal of something that may be an attack rather than a mistake: exit code 6."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refusal into one message on stderr and an exit code, Ctrl-C into 130; let faults of the program pass."""
    try:
        yield
    except (Refusal, LedgerError, ConfigErrors, DamagedFile, NewerFile) as error:
        message = redacted(error.message if isinstance(error, DamagedFile | NewerFile) else str(error))
        Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(_exit_code(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _exit_code(error: Exception) -> int:
    unsafe = isinstance(error, Unsafe | LedgerCorrupt | NotALedger | DamagedFile | NewerFile)
    return 6 if unsafe or (isinstance(error, ConfigErrors) and error.security) else 2
