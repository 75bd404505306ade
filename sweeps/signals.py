"""Ctrl-C, SIGTERM and an alarm of our own: what ends a driver before its time, as an exception in its main thread."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Longer alarms overflow.
LONGEST_ALARM_S = 1e8

#: A handler's exception is dropped where Python cannot raise it: in a finaliser, say, or right after a fork.
_AGAIN_S = 1.0

_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


class Interrupted(BaseException):
    """SIGINT, SIGTERM or the alarm: `signum`."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Signals:
    """What was heard while a driver was `listening`.

    The first signal raises `Interrupted`, again and again until it is `obeyed`; a second one ends the process at once.
    """

    def __init__(self) -> None:
        self._received: int | None = None

    def check(self) -> None:
        """Raise `Interrupted` if a signal came: to be called now and then by code that may have swallowed it."""
        if self._received is not None:
            raise Interrupted(self._received)

    @contextmanager
    def obeyed(self, within_s: float = math.inf) -> Iterator[None]:
        """A block that a signal ends by `Interrupted`, whatever became of it on its way; so do `within_s` seconds."""
        if within_s < LONGEST_ALARM_S:
            signal.setitimer(signal.ITIMER_REAL, max(within_s, 1e-6))
        try:
            yield
            self.check()
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if self._received is not None:  # inside Ray's compiled code it comes out as a SystemError
                raise Interrupted(self._received) from error
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def hear(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The handler."""
        if self._received is None:
            self._received = signum
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
        raise Interrupted(self._received)


@contextmanager
def listening() -> Iterator[Signals]:
    """Hear signals in this block; afterwards they are what they were."""
    signals = Signals()
    before = {signum: signal.signal(signum, signals.hear) for signum in _HEARD}
    try:
        yield signals
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler)
