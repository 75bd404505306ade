"""What holds for every memory."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contracts.families import NAMED
from tests.trainables.trials import small, unit_rows
from trainables.base import Config
from trainables.protocols import Shapes

BATCH, WIDTH, SAMPLES = 12, 4, 60
Batch = tuple[Tensor, Tensor, Tensor]

each_memory = pytest.mark.parametrize("member", NAMED["memory"], ids=lambda member: member.__name__)


def built(config: Any, seed: int = 0) -> Any:
    shapes = Shapes(batch=BATCH, width=WIDTH, negatives=8, rows=config.rows_kept(BATCH), classes=6, samples=SAMPLES)
    return config.build(shapes, torch.Generator().manual_seed(seed))


def batch_of(number: int) -> Batch:
    """A batch with gradient; the samples of successive batches overlap."""
    sample_B = (torch.arange(BATCH) * 7 + 5 * number) % SAMPLES
    embeddings = (unit_rows(BATCH, WIDTH, 2 * number + side).requires_grad_() for side in range(2))
    return (sample_B, *embeddings)  # type: ignore[return-value]  # a generator of two


def state(memory: Any) -> dict[str, Tensor]:
    return copy.deepcopy(memory.state_dict())


@each_memory
def test_shows_as_many_rows_as_it_declares_with_the_sample_of_each(member: type[Config]) -> None:
    config = small(member)
    memory = built(config)
    for number in range(5):
        rows = memory.rows(*batch_of(number))
        kept = config.rows_kept(BATCH)
        assert rows.student_MD.shape == rows.teacher_MD.shape == (kept, WIDTH)
        assert rows.sample_M.shape == (kept,)
        assert rows.sample_M.max() < SAMPLES
        memory.write(*batch_of(number))


@each_memory
def test_nothing_that_it_keeps_or_shows_carries_gradient(member: type[Config]) -> None:
    memory = built(small(member))
    memory.write(*batch_of(0))
    rows = memory.rows(*batch_of(1))
    assert not rows.student_MD.requires_grad
    assert not rows.teacher_MD.requires_grad
    assert not any(buffer.requires_grad for buffer in memory.buffers())


@each_memory
def test_positives_are_rows_of_the_same_samples_or_the_embeddings_themselves(member: type[Config]) -> None:
    memory = built(small(member))
    for number in range(5):
        memory.write(*batch_of(number))
    sample_B, student_BD, teacher_BD = batch_of(5)
    rows = memory.rows(sample_B, student_BD, teacher_BD)
    positives = memory.positives(sample_B, student_BD, teacher_BD)
    sides = ((positives[0], student_BD, rows.student_MD), (positives[1], teacher_BD, rows.teacher_MD))
    for positive_BD, own_BD, rows_MD in sides:
        for sample, positive, own in zip(sample_B, positive_BD, own_BD, strict=True):
            of_sample = rows_MD[rows.sample_M == sample]
            assert torch.equal(positive, own) or any(torch.equal(positive, row) for row in of_sample)


@each_memory
def test_its_state_in_mid_training_is_all_that_it_needs_to_go_on(member: type[Config]) -> None:
    memory, restored = built(small(member), seed=0), built(small(member), seed=1)
    for number in range(5):
        memory.write(*batch_of(number))
    restored.load_state_dict(state(memory))
    for number in range(5, 12):
        batch = batch_of(number)
        for ours, theirs in zip(vars(memory.rows(*batch)).values(), vars(restored.rows(*batch)).values(), strict=True):
            assert torch.equal(ours, theirs)
        for ours, theirs in zip(memory.positives(*batch), restored.positives(*batch), strict=True):
            assert torch.equal(ours, theirs)
        memory.write(*batch)
        restored.write(*batch)


@each_memory
def test_is_seeded_and_reading_it_changes_nothing(member: type[Config]) -> None:
    memory, again = built(small(member), seed=4), built(small(member), seed=4)
    before = state(memory)
    memory.rows(*batch_of(0))
    memory.positives(*batch_of(0))
    assert all(torch.equal(before[name], tensor) for name, tensor in again.state_dict().items())
    assert all(torch.equal(before[name], tensor) for name, tensor in memory.state_dict().items())


@each_memory
@pytest.mark.parametrize("sides", [1, 2])
def test_states_the_bytes_that_it_occupies(member: type[Config], sides: int) -> None:
    config = small(member)
    memory = built(config)
    shapes = Shapes(batch=BATCH, width=WIDTH, negatives=8, rows=config.rows_kept(BATCH), classes=6, samples=SAMPLES)
    unused = 0 if sides == 2 else memory.student_MD.nbytes if hasattr(memory, "student_MD") else 0
    occupied = sum(buffer.nbytes for buffer in memory.buffers() if buffer.dim() > 0)
    assert config.resident_bytes(shapes, sides) == occupied - unused
