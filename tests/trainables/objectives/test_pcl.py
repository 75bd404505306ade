"""PCL is its equation."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.references import pcl as slow
from tests.trainables.objectives.cases import Case, assert_equation, cases, directions, few, on_paper, value
from trainables.draws import Draws
from trainables.objectives.pcl import PCL
from trainables.protocols import NOBODY, Contrast, Rows


def against_prototypes(case: Case) -> Contrast:
    """Rows are prototypes: one key each, some empty; samples share prototypes, and the last one may have none."""
    contrast, generator = case.contrast(), torch.Generator().manual_seed(case.seed)
    key_M = torch.randperm(case.rows, generator=generator)
    key_M[1:] = torch.where(torch.rand(case.rows - 1, generator=generator) < 0.2, NOBODY, key_M[1:])
    concentration_M = 0.1 + torch.rand(case.rows, generator=generator, dtype=case.dtype)
    key_B = key_M[torch.randint(case.rows, (case.batch,), generator=generator)]
    return replace(
        contrast,
        key_B=key_B,
        rows=replace(contrast.rows, key_M=key_M, concentration_M=concentration_M),
        draws=case.draws(torch.where(key_B == NOBODY, NOBODY - 1, key_B), key_M, generator),
    )


@few
@given(case=cases(rows=st.integers(2, 8), prior=st.sampled_from([0.0, 0.1])), temperature=st.floats(0.05, 2))
def test_equation(case: Case, temperature: float) -> None:
    objective = PCL(temperature=temperature).build()
    assert_equation(objective, against_prototypes(case), lambda c, _: slow.pcl(c, temperature, case.factor))


def prototypes(batch: Contrast, key_B: list[int], concentration: list[float], row_BK: list[list[int]]) -> Contrast:
    count = len(concentration)
    rows = Rows(
        batch.rows.student_MD,
        batch.rows.teacher_MD,
        torch.arange(count),
        concentration_M=torch.tensor(concentration, dtype=torch.float64),
    )
    draws = Draws(len(row_BK[0]), count, torch.tensor(row_BK))
    return replace(batch, key_B=torch.tensor(key_B), rows=rows, draws=draws)


def test_all_similarities_equal() -> None:
    same = directions(*[0.3] * 3)
    batch = prototypes(on_paper(same, same, same), [0, 1, 2], [0.2] * 3, [[1, 1], [0, 2], [0, 1]])
    # against two others of the batch, and against two drawn prototypes
    assert value(PCL(), batch) == pytest.approx(2 * math.log(3), rel=1e-12)


def test_perfect_positives_against_orthogonal_others_each_at_its_own_spread() -> None:
    basis = directions(0.0, math.pi / 2)
    batch = prototypes(on_paper(basis, basis, basis), [0, 1], [0.5, 0.25], [[1] * 3, [0] * 3])
    instance = math.log1p(math.exp(-1 / 0.2))
    prototype = [math.log1p(3 * math.exp(-1 / phi)) for phi in (0.5, 0.25)]
    assert value(PCL(temperature=0.2), batch) == pytest.approx(instance + sum(prototype) / 2, rel=1e-12)


def test_one_sample_without_a_prototype_has_nothing_to_lose() -> None:
    basis = directions(0.0, math.pi / 2)
    batch = prototypes(on_paper(basis[:1], basis[:1], basis), [NOBODY], [0.5, 0.25], [[1, 1]])
    assert value(PCL(), batch) == 0


def test_samples_of_one_number_are_no_negatives_of_each_other() -> None:
    pair = directions(0.0, 1.0)
    batch = prototypes(on_paper(pair, pair, pair), [NOBODY, NOBODY], [0.5, 0.5], [[1], [0]])
    assert value(PCL(), batch) > 0
    assert value(PCL(), replace(batch, sample_B=torch.tensor([4, 4]))) == 0


def test_needs_prototypes_of_both_halves() -> None:
    assert (PCL().needs_prototypes, PCL().sides, PCL().draws) == (True, 2, True)
