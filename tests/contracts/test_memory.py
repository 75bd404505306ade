"""What holds for every memory."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.contracts.families import NAMED
from tests.trainables.trials import small, unit_rows
from trainables.base import Config
from trainables.protocols import NOBODY, Batch, Shapes

BATCH, WIDTH, SAMPLES = 12, 4, 60
each_memory = pytest.mark.parametrize("member", NAMED["memory"], ids=lambda member: member.__name__)


def config_of(member: type[Config]) -> Any:
    """A small one; what it does only now and then it does often."""
    config = small(member)
    return config.model_copy(update={"refresh": 3}) if "refresh" in member.model_fields else config


def shapes_of(config: Any) -> Shapes:
    return Shapes(batch=BATCH, width=WIDTH, negatives=8, rows=config.rows_kept(BATCH), classes=6, samples=SAMPLES)


def built(config: Any, seed: int = 0) -> Any:
    return config.build(shapes_of(config), torch.Generator().manual_seed(seed))


def batch_of(number: int) -> Batch:
    """A batch with gradient; the samples of successive batches overlap."""
    sample_B = (torch.arange(BATCH) * 7 + 5 * number) % SAMPLES
    student_BD, teacher_BD = (unit_rows(BATCH, WIDTH, 2 * number + side).requires_grad_() for side in range(2))
    return Batch(sample_B, student_BD, teacher_BD)


def state(memory: Any) -> dict[str, Tensor]:
    return copy.deepcopy(memory.state_dict())


def equal(ours: Tensor | str | None, theirs: Tensor | str | None) -> bool:
    if isinstance(ours, Tensor) and isinstance(theirs, Tensor):
        return torch.equal(ours, theirs)
    return ours == theirs


@each_memory
def test_shows_as_many_rows_as_it_declares_with_the_key_of_each(member: type[Config]) -> None:
    config = config_of(member)
    memory, kept = built(config), config.rows_kept(BATCH)
    for number in range(9):
        batch = batch_of(number)
        rows = memory.rows(batch)
        assert rows.student_MD.shape == rows.teacher_MD.shape == (kept, WIDTH)
        assert rows.key_M.shape == (kept,)
        assert rows.label_M is None  # whoever asked for rows knows the labels; a memory does not
        assert NOBODY <= rows.key_M.min() <= rows.key_M.max() < (kept if config.keeps_prototypes else SAMPLES)
        memory.write(batch)


@each_memory
def test_calls_samples_by_the_keys_of_its_rows(member: type[Config]) -> None:
    config = config_of(member)
    memory = built(config)
    sample_N = torch.arange(SAMPLES)
    for number in range(9):
        keys = memory.keys(sample_N)
        if config.keeps_prototypes:
            assert set(keys.tolist()) <= set(memory.rows(batch_of(number)).key_M.tolist())
        else:
            assert torch.equal(keys, sample_N)
        memory.write(batch_of(number))


@each_memory
def test_prototypes_have_concentrations_and_samples_have_none(member: type[Config]) -> None:
    config = config_of(member)
    memory = built(config)
    for number in range(9):
        concentration_M = memory.rows(batch_of(number)).concentration_M
        assert (concentration_M is not None) == config.keeps_prototypes
        if concentration_M is not None:
            assert concentration_M.shape == (config.count,)
            assert concentration_M.min() > 0
            assert concentration_M.mean().item() == pytest.approx(config.temperature, rel=1e-5)
        memory.write(batch_of(number))


@each_memory
def test_nothing_that_it_keeps_or_shows_carries_gradient(member: type[Config]) -> None:
    memory = built(config_of(member))
    for number in range(4):
        memory.write(batch_of(number))
    rows = memory.rows(batch_of(4))
    assert not rows.student_MD.requires_grad
    assert not rows.teacher_MD.requires_grad
    assert not any(buffer.requires_grad for buffer in memory.buffers())


@each_memory
def test_positives_are_rows_of_the_same_samples_or_the_embeddings_themselves(member: type[Config]) -> None:
    memory = built(config_of(member))
    for number in range(5):
        memory.write(batch_of(number))
    batch = batch_of(5)
    rows, positives = memory.rows(batch), memory.positives(batch)
    of_samples = not member.keeps_prototypes  # type: ignore[attr-defined]
    sides = ((positives[0], batch.student_BD, rows.student_MD), (positives[1], batch.teacher_BD, rows.teacher_MD))
    for positive_BD, own_BD, rows_MD in sides:
        for sample, positive, own in zip(batch.sample_B, positive_BD, own_BD, strict=True):
            of_sample = rows_MD[rows.key_M == sample] if of_samples else []
            assert torch.equal(positive, own) or any(torch.equal(positive, row) for row in of_sample)


@each_memory
def test_its_state_in_mid_training_is_all_that_it_needs_to_go_on(member: type[Config]) -> None:
    memory, restored = built(config_of(member), seed=0), built(config_of(member), seed=1)
    for number in range(5):
        memory.write(batch_of(number))
    restored.load_state_dict(safetensors.torch.load(safetensors.torch.save(memory.state_dict())))
    for number in range(5, 12):
        batch = batch_of(number)
        for ours, theirs in zip(vars(memory.rows(batch)).values(), vars(restored.rows(batch)).values(), strict=True):
            assert equal(ours, theirs)
        for ours, theirs in zip(memory.positives(batch), restored.positives(batch), strict=True):
            assert torch.equal(ours, theirs)
        assert torch.equal(memory.keys(batch.sample_B), restored.keys(batch.sample_B))
        memory.write(batch)
        restored.write(batch)
    assert all(torch.equal(tensor, restored.state_dict()[name]) for name, tensor in memory.state_dict().items())


@each_memory
def test_is_seeded_and_reading_it_changes_nothing(member: type[Config]) -> None:
    memory, again = built(config_of(member), seed=4), built(config_of(member), seed=4)
    memory.write(batch_of(0))
    again.write(batch_of(0))
    before, randomness = state(memory), torch.get_rng_state()
    memory.rows(batch_of(1))
    memory.positives(batch_of(1))
    memory.keys(batch_of(1).sample_B)
    assert all(torch.equal(before[name], tensor) for name, tensor in memory.state_dict().items())
    for number in range(1, 9):
        memory.write(batch_of(number))
        again.write(batch_of(number))
    assert all(torch.equal(state(memory)[name], tensor) for name, tensor in again.state_dict().items())
    assert torch.equal(torch.get_rng_state(), randomness)


@each_memory
@pytest.mark.parametrize("sides", [1, 2])
def test_states_the_bytes_that_it_occupies(member: type[Config], sides: int) -> None:
    config = config_of(member)
    occupied = sum(
        buffer.nbytes
        for name, buffer in built(config).named_buffers()
        if buffer.dim() > 0 and (sides == 2 or not name.startswith("student"))
    )
    assert config.resident_bytes(shapes_of(config), sides) == occupied


@each_memory
def test_states_what_writing_takes_in_whole_numbers(member: type[Config]) -> None:
    config = config_of(member)
    one, two = (config.operations(shapes_of(config), sides) for sides in (1, 2))
    assert [operation.name for operation in one] == [operation.name for operation in two]
    for operation in one + two:
        assert type(operation.flops) is type(operation.bytes) is int
        assert operation.bytes > 0
    assert sum(operation.bytes for operation in one) <= sum(operation.bytes for operation in two)
    larger = replace(shapes_of(config), batch=2 * BATCH)
    writes, more = (next(iter(config.operations(shapes, 2)), None) for shapes in (shapes_of(config), larger))
    assert (writes is None and more is None) or (writes and more and more.bytes == 2 * writes.bytes)
