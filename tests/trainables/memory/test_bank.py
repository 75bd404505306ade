"""The bank moves the rows of the samples that it keeps, and no others."""

import pytest
import torch

from tests.trainables.trials import unit_rows
from trainables.memory.bank import Bank, BankMemory
from trainables.protocols import Batch, Shapes

WIDTH, SAMPLES = 3, 30


def bank(size: int, momentum: float = 0.5) -> BankMemory:
    shapes = Shapes(batch=8, width=WIDTH, negatives=2, rows=size, classes=6, samples=SAMPLES)
    return Bank(size=size, momentum=momentum).build(shapes, torch.Generator().manual_seed(0))


def by_sample(memory: BankMemory) -> dict[int, tuple[list[float], list[float]]]:
    rows = zip(memory.key_M.tolist(), memory.student_MD.tolist(), memory.teacher_MD.tolist(), strict=True)
    return {sample: (student, teacher) for sample, student, teacher in rows}


def moved(row: list[float], new: list[float], momentum: float) -> list[float]:
    """normalise(momentum * row + (1 - momentum) * new), number by number."""
    mixed = [momentum * a + (1 - momentum) * b for a, b in zip(row, new, strict=True)]
    length = sum(value * value for value in mixed) ** 0.5
    return [value / length for value in mixed]


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("size", [2, 17, SAMPLES])
def test_writes_what_the_rule_says(size: int, momentum: float) -> None:
    memory = bank(size, momentum)
    expected = by_sample(memory)
    for number in range(4):
        sample_B = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(number))[:8]
        student_BD, teacher_BD = unit_rows(8, WIDTH, 2 * number), unit_rows(8, WIDTH, 2 * number + 1)
        memory.write(Batch(sample_B, student_BD, teacher_BD))
        for sample, student, teacher in zip(sample_B.tolist(), student_BD.tolist(), teacher_BD.tolist(), strict=True):
            if sample in expected:
                old_student, old_teacher = expected[sample]
                expected[sample] = (moved(old_student, student, momentum), moved(old_teacher, teacher, momentum))
    found = by_sample(memory)
    assert found.keys() == expected.keys()
    for sample, sides in expected.items():
        for ours, theirs in zip(found[sample], sides, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("size", [2, 17, SAMPLES])
def test_keeps_exactly_as_many_samples_as_its_size(size: int) -> None:
    memory = bank(size)
    assert len(set(memory.key_M.tolist())) == len(memory.student_MD) == len(memory.teacher_MD) == size
    kept = {sample: int(row) for sample, row in enumerate(memory.row_N) if row >= 0}
    assert kept == {int(sample): row for row, sample in enumerate(memory.key_M)}


def test_positives_are_rows_of_kept_samples_and_embeddings_of_others() -> None:
    memory = bank(17)
    rows = by_sample(memory)
    student_BD, teacher_BD = unit_rows(SAMPLES, WIDTH, 1).requires_grad_(), unit_rows(SAMPLES, WIDTH, 2)
    student, teacher = memory.positives(Batch(torch.arange(SAMPLES), student_BD, teacher_BD))
    for sample in range(SAMPLES):
        own = (student_BD[sample].tolist(), teacher_BD[sample].tolist())
        assert (student[sample].tolist(), teacher[sample].tolist()) == rows.get(sample, own)
    student.sum().backward()
    assert student_BD.grad is not None
    reached = (student_BD.grad.abs().sum(dim=1) > 0).tolist()
    assert reached == [sample not in rows for sample in range(SAMPLES)]


def test_rows_start_as_in_the_release_of_crd() -> None:
    memory = bank(SAMPLES)
    bound = (3 / WIDTH) ** 0.5
    for rows in (memory.student_MD, memory.teacher_MD):
        assert 0.9 * bound < rows.abs().max().item() <= bound
    assert not torch.equal(memory.student_MD, memory.teacher_MD)
