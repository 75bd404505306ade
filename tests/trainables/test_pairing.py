"""What the embeddings of a batch are held against: labels only for who uses them, and positives of the same class."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from scipy.stats import chisquare

from tests.trainables.trials import small_trial, unit_rows
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
from trainables.memory.queue import Queue
from trainables.negatives.label_aware import LabelAware
from trainables.negatives.retrieval import Retrieval
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.supcon import SupCon
from trainables.pairing import Pairing, Share, same_class_rows
from trainables.policies.anneal import Anneal
from trainables.protocols import NOBODY, Batch, Contrast, Decision

LABEL_N = small_trial().task.load().source.label_N


def paired(config: TrialConfig, step: int = 0, decision: Decision | None = None) -> tuple[Pairing, Contrast]:
    pairing = Pairing(config)
    sample_B = torch.arange(config.batch_size) * 13
    batch = Batch(sample_B, unit_rows(len(sample_B), 8, 1), unit_rows(len(sample_B), 8, 2))
    pairing.memory.write(batch)
    empty = replace(Contrast.unread(sample_B, like=batch.student_BD), decision=decision or Decision())
    found: Contrast = pairing(empty, Share(batch, batch, rank=0), LABEL_N, step)
    return pairing, found


@pytest.mark.parametrize(("objective", "negatives"), [(SupCon(), Uniform(count=9)), (CRD(), LabelAware(count=9))])
def test_rows_have_the_labels_of_their_samples_for_who_uses_them(objective: CRD | SupCon, negatives: Uniform) -> None:
    config = small_trial(objective=objective, negatives=negatives, memory=Queue(size=50))
    _, contrast = paired(config)
    label_M = contrast.rows.label_M
    assert label_M is not None
    for key, label in zip(contrast.rows.key_M.tolist(), label_M.tolist(), strict=True):
        assert label == (NOBODY if key == NOBODY else LABEL_N[key])
    assert NOBODY in label_M.tolist()


def test_nobody_else_is_shown_a_label() -> None:
    _, contrast = paired(small_trial(objective=CRD(), negatives=Retrieval(count=9)))
    assert contrast.rows.label_M is None
    assert contrast.label_B is None


def test_relaxed_positives_are_rows_of_the_class_and_change_from_step_to_step() -> None:
    config = small_trial(objective=CRD(positive="relax"), memory=Bank(size=900))
    _, first = paired(config)
    _, second = paired(config, step=1)
    rows = first.rows
    others = 0
    for sample, teacher, student in zip(
        first.sample_B.tolist(), first.positive_teacher_BD, first.positive_student_BD, strict=True
    ):
        (row,) = (rows.teacher_MD == teacher).all(dim=1).nonzero().flatten().tolist()
        assert torch.equal(rows.student_MD[row], student)
        assert LABEL_N[rows.key_M[row]] == LABEL_N[sample]
        others += int(rows.key_M[row]) != sample
    assert others > 0
    assert not torch.equal(first.positive_teacher_BD, second.positive_teacher_BD)


def test_without_a_row_of_the_class_the_positive_is_the_exact_one() -> None:
    exact = small_trial(objective=CRD(), memory=Queue(size=16))
    relaxed = replace_objective(exact, CRD(positive="relax"))
    lonely = torch.full_like(LABEL_N, 0)
    lonely[: len(LABEL_N)] = torch.arange(len(LABEL_N))  # every sample a class of its own
    pairing = Pairing(relaxed)
    batch = Batch(torch.arange(16), unit_rows(16, 8, 1), unit_rows(16, 8, 2))
    _, contrast = paired(exact)
    found = pairing(replace(contrast, sample_B=batch.sample_B), Share(batch, batch, 0), lonely, 0)
    assert torch.equal(found.positive_teacher_BD, batch.teacher_BD)
    assert torch.equal(found.positive_student_BD, batch.student_BD)


def replace_objective(config: TrialConfig, objective: CRD) -> TrialConfig:
    return config.model_copy(update={"objective": objective})


def test_rows_of_a_class_are_equally_likely() -> None:
    label_M = torch.tensor([0, 1, 0, NOBODY, 0, 2])
    row_B, found_B = same_class_rows(torch.zeros(6_000, dtype=torch.long), label_M, torch.Generator().manual_seed(0))
    counts = torch.bincount(row_B, minlength=6)
    assert counts[label_M != 0].sum() == 0
    assert chisquare(counts[label_M == 0].numpy()).pvalue > 1e-3
    assert found_B.all()
    assert not same_class_rows(torch.tensor([7]), label_M, torch.Generator())[1].any()


def test_a_policy_sets_how_many_are_drawn_and_how_sharply() -> None:
    config = small_trial(negatives=Retrieval(count=12, sharpness=8.0), policy=Anneal())
    _, few = paired(config, decision=Decision(negatives=0.25))
    assert (few.draws.count, few.draws.held) == (3, 3)
    _, least = paired(config, decision=Decision(negatives=1e-9))
    assert (least.draws.count, least.draws.held) == (1, 1)
    _, flat = paired(config, decision=Decision(sharpness=0.0))
    assert flat.draws.weight_BR is not None
    torch.testing.assert_close(flat.draws.weight_BR, torch.ones(16, 12))
    _, sharp = paired(config)
    assert sharp.draws.weight_BR is not None
    assert sharp.draws.weight_BR.std() > 0.1


@pytest.mark.parametrize(("positive", "half"), [("current", "teacher_MD"), ("view", "student_MD")])
def test_negatives_are_retrieved_from_the_half_that_the_student_is_held_against(
    positive: Literal["current", "view"], half: str
) -> None:
    config = small_trial(objective=InfoNCE(positive=positive), negatives=Retrieval(count=12, sharpness=3, explore=1e-6))
    _, contrast = paired(config)
    rows, draws = contrast.rows, contrast.draws
    assert draws.row_BR is not None
    assert draws.weight_BR is not None
    score_BM = 3 * contrast.student_BD @ getattr(rows, half).T
    own_BM = contrast.key_B.unsqueeze(1) == rows.key_M
    expected = score_BM.masked_fill(own_BM, -math.inf).log_softmax(dim=1).gather(1, draws.row_BR)
    candidates_B1 = (~own_BM).sum(dim=1, keepdim=True)
    torch.testing.assert_close(-(draws.weight_BR * candidates_B1).log(), expected, rtol=1e-3, atol=1e-3)


def test_a_worker_gets_its_share_of_what_the_whole_batch_draws() -> None:
    config = small_trial(negatives=Retrieval(count=12))
    pairing, whole = paired(config)
    batch = Batch(whole.sample_B, whole.student_BD, whole.teacher_BD)
    for rank in range(2):
        mine = slice(8 * rank, 8 * rank + 8)
        own = Batch(batch.sample_B[mine], batch.student_BD[mine], batch.teacher_BD[mine])
        share: Contrast = pairing(whole, Share(own, batch, rank), LABEL_N, 0)
        for found, expected in (
            (share.draws.row_BR, whole.draws.row_BR),
            (share.draws.weight_BR, whole.draws.weight_BR),
        ):
            assert found is not None
            assert expected is not None
            assert torch.equal(found, expected[mine])
        assert torch.equal(share.key_B, whole.key_B[mine])
