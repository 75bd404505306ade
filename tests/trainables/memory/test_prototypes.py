"""Prototypes are the means of clusters of the teacher's rows, found anew when it is time."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tests.trainables.trials import unit_rows
from trainables.memory.prototypes import Prototypes, PrototypesMemory, concentrations
from trainables.protocols import Batch, Shapes

WIDTH, SAMPLES = 5, 30
SHAPES = Shapes(batch=10, width=WIDTH, negatives=2, rows=3, classes=6, samples=SAMPLES)
GROUP_N = torch.arange(SAMPLES) % 3


def prototypes(count: int = 3, refresh: int = 3, momentum: float = 0.0, seed: int = 0) -> PrototypesMemory:
    config = Prototypes(count=count, refresh=refresh, momentum=momentum, temperature=0.2)
    return config.build(SHAPES, torch.Generator().manual_seed(seed))


def grouped(seed: int) -> Tensor:
    """Rows of all samples, near to one of three directions each."""
    return normalize(torch.eye(WIDTH)[GROUP_N] + 0.1 * unit_rows(SAMPLES, WIDTH, seed), dim=1)


def write_all(memory: PrototypesMemory, student_ND: Tensor, teacher_ND: Tensor) -> None:
    """All samples, in three batches."""
    for sample_B in torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1)).chunk(3):
        memory.write(Batch(sample_B, student_ND[sample_B], teacher_ND[sample_B]))


def test_starts_with_random_directions_to_which_samples_are_dealt() -> None:
    memory = prototypes(count=7)
    for rows in (memory.student_MD, memory.teacher_MD):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(7))
    keys = memory.keys(torch.arange(SAMPLES))
    assert set(torch.bincount(keys).tolist()) == {4, 5}
    assert not torch.equal(keys, prototypes(count=7, seed=1).keys(torch.arange(SAMPLES)))


def test_finds_the_groups_of_the_teacher() -> None:
    memory, student_ND, teacher_ND = prototypes(), unit_rows(SAMPLES, WIDTH, 1), grouped(2)
    write_all(memory, student_ND, teacher_ND)
    keys = memory.keys(torch.arange(SAMPLES))
    rows = memory.rows(Batch(keys, student_ND, teacher_ND))
    key_of = keys[:3].tolist()
    assert sorted(key_of) == [0, 1, 2]
    assert keys.tolist() == [key_of[group] for group in GROUP_N.tolist()]
    spread = []
    for key in range(3):
        students, teachers = student_ND[keys == key], teacher_ND[keys == key]
        torch.testing.assert_close(rows.student_MD[key], normalize(students.mean(dim=0), dim=0))
        torch.testing.assert_close(rows.teacher_MD[key], normalize(teachers.mean(dim=0), dim=0))
        distances = (teachers - teachers.mean(dim=0)).norm(dim=1)
        spread.append(float(distances.sum()) / (len(teachers) * math.log(len(teachers) + 10)))
    low, high = np.percentile(spread, [10, 90])
    clamped = np.clip(spread, low, high)
    assert rows.concentration_M is not None
    assert rows.concentration_M.tolist() == pytest.approx((0.2 * clamped / clamped.mean()).tolist(), rel=1e-4)


def test_clusters_every_so_many_writes_and_not_between() -> None:
    memory = prototypes(refresh=2)
    changed = []
    for number in range(6):
        before = memory.teacher_MD.clone()
        sample_B = torch.arange(10 * number, 10 * number + 10) % SAMPLES
        memory.write(Batch(sample_B, unit_rows(10, WIDTH, number), unit_rows(10, WIDTH, 50 + number)))
        changed.append(not torch.equal(before, memory.teacher_MD))
    assert changed == [False, True] * 3


def test_rows_of_samples_move_with_momentum() -> None:
    memory = prototypes(momentum=0.25, refresh=100)
    before = memory.student_ND.clone()
    new = unit_rows(2, WIDTH, 5)
    memory.write(Batch(torch.tensor([4, 9]), new, new))
    for place, sample in enumerate((4, 9)):
        torch.testing.assert_close(
            memory.student_ND[sample], normalize(0.25 * before[sample] + 0.75 * new[place], dim=0)
        )
    others = [sample for sample in range(SAMPLES) if sample not in (4, 9)]
    assert torch.equal(memory.student_ND[others], before[others])


@pytest.mark.parametrize("different", [1, 2])
def test_fewer_different_rows_than_clusters_leave_some_prototypes_where_they_were(different: int) -> None:
    memory = prototypes(count=5)
    before = memory.teacher_MD.clone()
    same_ND = torch.eye(WIDTH)[torch.arange(SAMPLES) % different]
    write_all(memory, same_ND, same_ND)
    held = torch.unique(memory.keys(torch.arange(SAMPLES)))
    assert len(held) == different
    for key in range(5):
        if key in held:
            assert memory.teacher_MD[key].max() == 1
        else:
            assert torch.equal(memory.teacher_MD[key], before[key])
    assert memory.concentration_M.tolist() == pytest.approx([0.2] * 5)


def test_as_many_prototypes_as_samples_are_the_samples() -> None:
    memory, teacher_ND = prototypes(count=SAMPLES), unit_rows(SAMPLES, WIDTH, 3)
    write_all(memory, teacher_ND, teacher_ND)
    torch.testing.assert_close(memory.teacher_MD[memory.keys(torch.arange(SAMPLES))], teacher_ND)
    assert memory.concentration_M.tolist() == pytest.approx([0.2] * SAMPLES)


def test_concentrations_follow_the_release_of_pcl() -> None:
    distance_M = torch.tensor([8.0, 0.0, 3.0, 30.0, 0.5, 6.0, 1.0])
    samples_M = torch.tensor([10, 1, 2, 10, 5, 4, 0])
    spread = [
        d / (n * math.log(n + 10)) if n > 1 else 0.0
        for d, n in zip(distance_M.tolist(), samples_M.tolist(), strict=True)
    ]
    spread = [value if n > 1 else max(spread) for value, n in zip(spread, samples_M.tolist(), strict=True)]
    clamped = np.clip(spread, np.percentile(spread, 10), np.percentile(spread, 90))
    found = concentrations(distance_M, samples_M)
    assert found.tolist() == pytest.approx((clamped / clamped.mean()).tolist(), rel=1e-5)


def test_a_concentration_is_never_zero() -> None:
    found = concentrations(torch.tensor([0.0, 0.0, 0.0, 9.0]), torch.tensor([5, 5, 5, 5]))
    assert found[:3].tolist() == pytest.approx([0.01] * 3)
    assert concentrations(torch.zeros(3), torch.tensor([4, 1, 0])).tolist() == [1, 1, 1]


def test_states_its_share_of_a_clustering() -> None:
    config = Prototypes(count=6, refresh=4)
    writing, clustering = config.operations(SHAPES, sides=2)
    assert (writing.flops, writing.bytes) == (2 * 4 * 10 * WIDTH, 2 * 2 * 10 * WIDTH * 4)
    assert clustering.flops == 20 * 2 * SAMPLES * 6 * WIDTH // 4
    assert clustering.bytes == 20 * 4 * (SAMPLES + 6) * WIDTH // 4
