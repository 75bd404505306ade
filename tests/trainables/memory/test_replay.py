"""A reservoir is a fair sample of all that has passed."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare

from tests.trainables.trials import unit_rows
from trainables.memory.replay import Replay, ReplayMemory
from trainables.protocols import NOBODY, Batch, Shapes

WIDTH = 3
LIKELY = 1e-3  # a seeded draw below this probability is no accident


def reservoir(size: int, seed: int = 0) -> ReplayMemory:
    shapes = Shapes(batch=4, width=WIDTH, negatives=2, rows=size, classes=6, samples=100)
    return Replay(size=size).build(shapes, torch.Generator().manual_seed(seed))


def batch_of(start: int, length: int) -> Batch:
    sample_B = torch.arange(start, start + length)
    return Batch(sample_B, unit_rows(length, WIDTH, 2 * start), unit_rows(length, WIDTH, 2 * start + 1))


def content(memory: ReplayMemory) -> list[tuple[int, list[float], list[float]]]:
    sides = (memory.key_M.tolist(), memory.student_MD.tolist(), memory.teacher_MD.tolist())
    return list(zip(*sides, strict=True))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=st.integers(2, 12), batches=st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_writes_a_batch_as_if_its_items_came_one_by_one(size: int, batches: list[int]) -> None:
    memory = reservoir(size)
    expected, passed = content(memory), 0
    for length in batches:
        batch, slot_B = batch_of(passed, length), memory.slots(length).tolist()
        for place, slot in enumerate(slot_B):
            assert 0 <= slot <= passed + place
            if passed + place < size:
                assert slot == passed + place  # a free one
            if slot < size:
                expected[slot] = (passed + place, batch.student_BD[place].tolist(), batch.teacher_BD[place].tolist())
        memory.write(batch)
        passed += length
        assert content(memory) == expected
        assert int(memory.passed) == passed


@pytest.mark.parametrize("batches", [[6], [1, 2, 3], [1] * 6])
def test_every_item_is_kept_as_often_as_any_other(batches: list[int]) -> None:
    size, items, reservoirs = 2, sum(batches), 1500
    kept = torch.zeros(items)
    edges = [0, *torch.tensor(batches).cumsum(dim=0).tolist()]
    streams = [batch_of(first, last - first) for first, last in pairwise(edges)]
    for seed in range(reservoirs):
        memory = reservoir(size, seed)
        for batch in streams:
            memory.write(batch)
        kept[memory.key_M] += 1
    assert kept.sum() == size * reservoirs
    expected, share = size * reservoirs / items, size / items
    # counts of a sample without replacement scatter less than those of independent draws
    statistic = (items - 1) / items * ((kept - expected) ** 2).sum() / (expected * (1 - share))
    assert chi2.sf(statistic.item(), items - 1) > LIKELY


def test_replaces_each_slot_as_often_as_any_other() -> None:
    memory = reservoir(4)
    memory.write(batch_of(0, 1000))
    slot_B = memory.slots(40_000)
    item_B = 1000 + torch.arange(40_000)
    kept = slot_B[slot_B < 4].bincount(minlength=4)
    assert chisquare(kept.numpy()).pvalue > LIKELY
    expected = (4 / (item_B + 1.0)).sum().item()
    assert kept.sum().item() == pytest.approx(expected, abs=3 * expected**0.5)


def test_starts_with_random_directions_of_nobody() -> None:
    memory = reservoir(50)
    memory.write(batch_of(0, 20))
    assert memory.key_M.tolist() == [*range(20), *[NOBODY] * 30]
    for rows in (memory.student_MD, memory.teacher_MD):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(50))
