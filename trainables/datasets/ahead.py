"""Work done ahead of its use, in order: while a GPU trains on one batch, threads read, decode and augment the next."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R, None, None]:
    """As ``map(work, items)``, with up to `workers` items worked on at once, and twice as many kept ready.

    What comes out is the same for any number of workers, as long as `work` is a function of its item; with 0 it is done
    when it is asked for. Threads do, as reading, decoding and tensor operations let go of Python's lock.
    """
    if workers == 0:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ahead") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also where nobody asks any more
            for future in waiting:
                future.cancel()
