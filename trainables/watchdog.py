"""The end of a worker that hangs, so that its devices come back: even inside a call that never gives Python a turn."""

import faulthandler
import time
from collections.abc import Callable

from torch import Tensor

from trainables.protocols import World

#: How often in a deadline progress is told on.
_TOLD = 10

#: The pool ends what hangs at the deadline, and kills its worker. One that it cannot reach ends by itself, later.
_LATER = 1.5

_STDERR = 2  # which Ray keeps in a worker's log


class Watchdog:
    """Ends this process when it makes no progress for a deadline, while it is awake; without a deadline it never does.

    The time is kept by a thread of C, which needs no lock of Python's (`faulthandler`), and says where each thread was.
    `tell` is called when there is progress, now and then. There is one in a process.
    """

    def __init__(self, deadline_s: float | None, tell: Callable[[], None]) -> None:
        self.deadline_s, self.tell = deadline_s, tell
        self._told: float | None = None

    def beat(self) -> None:
        """There is progress: wait for the next."""
        now = time.monotonic()
        if self.deadline_s is None or (self._told is not None and now - self._told < self.deadline_s / _TOLD):
            return
        self._told = now
        faulthandler.dump_traceback_later(self.deadline_s * _LATER, exit=True, file=_STDERR)
        self.tell()

    def rest(self) -> None:
        """Nothing is to be expected until the next `beat`."""
        self._told = None
        faulthandler.cancel_dump_traceback_later()


class Watched:
    """A world that a trial passes through at every step, and whose watchdog sees it pass.

    `warned` says whether a worker of the group was told that it is about to be taken away.
    """

    def __init__(self, world: World, watchdog: Watchdog, warned: Callable[[], bool] = lambda: False) -> None:
        self._world, self._watchdog, self._warned = world, watchdog, warned
        self.rank, self.size = world.rank, world.size

    def gather(self, tensor_B: Tensor) -> Tensor:
        """As the world does."""
        self._watchdog.beat()
        return self._world.gather(tensor_B)

    def mean_(self, tensors: list[Tensor]) -> None:
        """As the world does."""
        self._watchdog.beat()
        self._world.mean_(tensors)

    def leaving(self) -> bool:
        """Whether a worker was warned."""
        return self._warned()
