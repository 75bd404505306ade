"""Ctrl-C, SIGTERM and an alarm of our own: what ends a driver before its time, as an exception in its main thread."""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Longer alarms overflow.
LONGEST_ALARM_S = 1e8

#: A handler's exception is dropped where Python cannot raise it: in a finaliser, say, or right after a fork.
_AGAIN_S = 1.0

#: Nor can it while compiled code holds the main thread, as Ray's does for seconds when it starts on a busy machine.
_AT_LATEST_S = 5.0

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
        self._obeyed = threading.Event()

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
                self._obeyed.set()
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

    def insist(self, told: int, leave: Callable[[], None]) -> None:
        """Read the numbers of signals from a pipe; end the process at the second, or when one is not obeyed."""

        def insist_on(signum: int) -> None:
            if not self._obeyed.wait(_AT_LATEST_S):
                try:
                    leave()
                finally:
                    os._exit(128 + signum)

        heard = False
        while signum := os.read(told, 1):
            if signum[0] not in (signal.SIGINT, signal.SIGTERM):
                continue
            if heard:
                os._exit(128 + signum[0])
            heard = True
            threading.Thread(target=insist_on, args=(signum[0],), name="signals", daemon=True).start()


def end_at_once() -> None:
    """Until a driver is `listening` Ctrl-C ends its process as SIGTERM does; where it is ignored it stays so.

    Python's exception would abort the process, if it came while torch is loaded, and there is nothing to tidy up yet.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def listening(leave: Callable[[], None]) -> Iterator[Signals]:
    """Hear signals in this block; afterwards they are what they were.

    A process whose main thread does not come to obey one is ended after some seconds, when `leave` has been called.
    """
    signals = Signals()
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    threading.Thread(target=signals.insist, args=(told, leave), name="signals", daemon=True).start()
    before = {signum: signal.signal(signum, signals.hear) for signum in _HEARD}
    wakeup = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)  # written to even while no handler can run
    try:
        yield signals
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(wakeup)
        for signum, handler in before.items():
            signal.signal(signum, handler)
        os.close(tell)  # the thread hears of that, and ends
