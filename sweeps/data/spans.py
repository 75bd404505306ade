"""Which rows of a split are read together, where several machines read it."""

from bisect import bisect_left
from collections.abc import Sequence

#: Rows of a span, at least: a second or so of decoding, beside which starting a task is nothing.
SPAN_ROWS = 4096


def spans(starts: Sequence[int], first: int, stop: int, least: int = SPAN_ROWS) -> list[range]:
    """The rows from `first` up to `stop` in spans of `least` rows or more, each but the first from one of `starts` on.

    `starts` are rows, rising, at which reading may begin without what is before them: no row is then read twice, but
    those before `first`, once, where that is none.
    """
    found = []
    while first < stop:
        place = bisect_left(starts, first + least)
        end = min(starts[place], stop) if place < len(starts) else stop
        found.append(range(first, end))
        first = end
    return found
