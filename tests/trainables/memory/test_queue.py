"""The ring holds the last rows that were written, whatever the batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.trials import unit_rows
from trainables.memory.queue import Queue, QueueMemory
from trainables.protocols import NOBODY, Batch, Shapes

WIDTH = 3


def ring(size: int) -> QueueMemory:
    shapes = Shapes(batch=4, width=WIDTH, negatives=2, rows=size, classes=6, samples=100)
    return Queue(size=size).build(shapes, torch.Generator().manual_seed(0))


def oldest_first(memory: QueueMemory) -> list[tuple[int, list[float], list[float]]]:
    order = (torch.arange(memory.size) + memory.passed) % memory.size
    return [(int(memory.key_M[row]), memory.student_MD[row].tolist(), memory.teacher_MD[row].tolist()) for row in order]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=st.integers(2, 12), batches=st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_keeps_the_last_rows_of_any_stream(size: int, batches: list[int]) -> None:
    memory = ring(size)
    stream = oldest_first(memory)
    for number, length in enumerate(batches):
        sample_B = torch.arange(length) + 100 * number
        student_BD, teacher_BD = unit_rows(length, WIDTH, 2 * number), unit_rows(length, WIDTH, 2 * number + 1)
        memory.write(Batch(sample_B, student_BD, teacher_BD))
        stream += list(zip(sample_B.tolist(), student_BD.tolist(), teacher_BD.tolist(), strict=True))
        assert oldest_first(memory) == stream[-size:]


def test_starts_with_random_directions_of_no_sample() -> None:
    memory = ring(50)
    assert set(memory.key_M.tolist()) == {NOBODY}
    for rows in (memory.student_MD, memory.teacher_MD):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(50))
        assert rows.mean(dim=0).abs().max().item() < 0.3
    assert not torch.equal(memory.student_MD, memory.teacher_MD)


@pytest.mark.parametrize("batch", [2, 50])
def test_positives_are_the_current_embeddings(batch: int) -> None:
    memory = ring(10)
    student_BD, teacher_BD = unit_rows(batch, WIDTH, 1), unit_rows(batch, WIDTH, 2)
    memory.write(Batch(torch.arange(batch), student_BD, teacher_BD))
    newer = unit_rows(batch, WIDTH, 3)
    student, teacher = memory.positives(Batch(torch.arange(batch), newer, newer))
    assert student is newer
    assert teacher is newer
