"""The notice that this process is about to be taken away: by SIGTERM, or from whoever looks after its node."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_GIVEN, _BUSY = threading.Event(), threading.Event()


def warn() -> None:
    """Give notice to this process."""
    _GIVEN.set()


def warned() -> bool:
    """Whether notice was given. There is no way back: a process is taken away once."""
    return _GIVEN.is_set()


@contextmanager
def at_work() -> Iterator[None]:
    """There is something to save meanwhile."""
    _BUSY.set()
    try:
        yield
    finally:
        _BUSY.clear()


def listen() -> None:
    """Take the first SIGTERM for a notice while this process is at work; any other does what it did before.

    To be called in the main thread, which alone may listen to signals.
    """
    before = signal.getsignal(signal.SIGTERM)

    def on_sigterm(signum: int, frame: FrameType | None) -> None:
        if _BUSY.is_set() and not _GIVEN.is_set():
            _GIVEN.set()
        elif callable(before):
            before(signum, frame)

    signal.signal(signal.SIGTERM, on_sigterm)
