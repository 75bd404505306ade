"""A second pair of eyes on a driver, whose main thread may wait for Ray for ever: it ends the process in its place."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from sweeps.slots.cluster import dead_servers

_EVERY_S = 0.5


Reason = Literal["stopped", "error"]


@contextmanager
def watched(named: str, close: Callable[[Reason], None], within_s: float, out_of_time: str) -> Iterator[None]:
    """End the process if the block lasts longer than `within_s`, or if Ray's servers on this machine die meanwhile.

    Why is said, and on record (`close`), if there is room for it; the exit code is 4: the sweep can be resumed, as it
    is `named` in a command. Without its servers Ray would have the slots train on for nobody, and end the driver much
    later, with a code of its own.
    """
    done = threading.Event()

    def leave(reason: Reason, why: str) -> None:
        print(why, flush=True)
        try:
            close(reason)
        finally:
            os._exit(4)

    def watch() -> None:
        end = time.monotonic() + within_s
        while not done.wait(min(_EVERY_S, max(0.0, end - time.monotonic()))):
            if time.monotonic() >= end:
                leave("stopped", out_of_time)
            if dead := dead_servers():
                leave("error", _died(dead, named))

    threading.Thread(target=watch, name="watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _died(servers: list[str], named: str) -> str:
    return (
        f"a sweep needs Ray, and its {' and '.join(servers)} died. Look at /tmp/ray/session_latest/logs and at the "
        f"memory of this machine. Nothing is lost; to go on: python -m sweeps resume {named}"
    )
