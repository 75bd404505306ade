from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.trainables.evaluation.evidence import Story, features, judged, normal, three_class_evidence, with_student
from trainables.evaluation.novelty import Novelty


def evidence(source_NF: Tensor, view_NF: Tensor, held_out_NF: Tensor) -> Story:
    source, view, held_out = features(source_NF), features(view_NF), features(held_out_NF)
    return replace(three_class_evidence(), source=source, source_view=view, held_out=held_out)


def auroc(shown: Story, k: int = 5) -> float:
    return judged(Novelty(k=k), shown)["ood_auroc"]


def test_what_points_elsewhere_is_told_and_what_points_alike_is_not() -> None:
    source = torch.tensor([1.0, 0.0]) + 0.1 * normal(200, 2, 0)
    view = source + 0.01 * normal(200, 2, 1)
    elsewhere = torch.tensor([0.0, 1.0]) + 0.1 * normal(100, 2, 2)
    alike = torch.tensor([1.0, 0.0]) + 0.1 * normal(2000, 2, 3)
    assert auroc(evidence(source, view, elsewhere)) == 1.0
    assert auroc(evidence(source, view, 5 * alike)) == pytest.approx(0.5, abs=0.08)


def test_what_lies_amid_the_source_is_less_novel_than_the_source() -> None:
    source = torch.tensor([1.0, 0.0]) + normal(200, 2, 0)
    assert auroc(evidence(source, source, torch.tensor([[1.0, 0.0]]).repeat(10, 1))) < 0.2


@pytest.mark.parametrize("k", [1, 5, 500])  # 500 is more than there are: the farthest counts
def test_it_is_what_a_loop_over_queries_finds(k: int) -> None:
    shown = evidence(normal(31, 3, 0), normal(31, 3, 1), normal(20, 3, 2) + 0.5)

    def distance(query: Tensor) -> float:
        cosines = [torch.cosine_similarity(query, row, dim=0) for row in shown.source.student_NF[0::2]]
        return sorted(1 - float(cosine) for cosine in cosines)[min(k, len(cosines)) - 1]

    known = [distance(query) for query in shown.source_view.student_NF[1::2]]
    new = [distance(query) for query in shown.held_out.student_NF]
    wins = sum((n > o) + 0.5 * (n == o) for n in new for o in known)
    assert auroc(shown, k) == pytest.approx(wins / (len(new) * len(known)))


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_features_that_do_not_vary_tell_nothing(constant: float) -> None:
    shown = with_student(three_class_evidence(), lambda student_NF: torch.full_like(student_NF, constant))
    assert auroc(shown) == 0.5


def test_rounding_is_no_novelty() -> None:
    assert auroc(with_student(three_class_evidence(), lambda student_NF: 1 + 1e-7 * student_NF)) == 0.5
