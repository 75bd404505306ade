"""What is done ahead comes out in order, whoever does it; and not too much of it is done."""

import threading
import time
from collections.abc import Iterator

import pytest

from trainables.datasets.ahead import ahead


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_it_is_a_map_in_order(workers: int) -> None:
    def slow_for_even(item: int) -> int:
        time.sleep(0.003 * (item % 2 == 0))
        return item * item

    assert list(ahead(slow_for_even, range(20), workers)) == [item * item for item in range(20)]


@pytest.mark.parametrize("workers", [1, 3])
def test_at_most_so_much_is_done_ahead(workers: int) -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            asked.append(item)
            yield item

    results = ahead(lambda item: item, items(), workers)
    for taken in range(5):
        assert next(results) == taken
        assert len(asked) <= taken + 1 + 2 * workers
    results.close()
    assert len(asked) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_where_its_item_would(workers: int) -> None:
    results = ahead(lambda item: 12 // item, [3, 2, 0, 1], workers)
    assert [next(results), next(results)] == [4, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_items_are_worked_on_at_once() -> None:
    meeting = threading.Barrier(3, timeout=20)
    assert sum(ahead(lambda _: meeting.wait(), range(3), 3)) == 0 + 1 + 2
