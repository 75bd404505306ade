"""Votes of nearest neighbours, against scikit-learn's brute-force classifier."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from tests.trainables.evaluation.evidence import Story, features, judged, normal, three_class_evidence
from trainables.evaluation import knn
from trainables.evaluation.knn import KNN
from trainables.evidence import Evidence, Features

LABELS = torch.arange(90) % 4 + 6


def grid(samples: int, seed: int) -> Tensor:
    """Rows of few values: many are the same but for their length, and some are zero."""
    return torch.randint(-1, 2, (samples, 3), generator=torch.Generator().manual_seed(seed)).float()


CASES = {
    "normal": (normal(90, 6, 0), normal(200, 6, 1)),
    "ties of distance": (grid(90, 0), grid(200, 1)),
    "all the same": (torch.ones(90, 3), torch.ones(200, 3)),
    "zeros": (torch.zeros(90, 3), normal(200, 3, 1)),
    "vanishing": (1e-20 * normal(90, 6, 0), normal(200, 6, 1)),
}


@pytest.mark.parametrize("neighbours", [1, 2, 5, 90])
@pytest.mark.parametrize("case", CASES)
def test_votes_are_those_of_scikit_learn_ties_included(case: str, neighbours: int) -> None:
    train_MF, query_NF = CASES[case]
    classifier = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute")
    expected = classifier.fit(train_MF.numpy(), LABELS.numpy()).predict(query_NF.numpy())
    nothing, train = features(torch.empty(0, 0)), features(train_MF, label_N=LABELS)
    score = KNN(neighbours=neighbours).fit(Evidence(train, nothing, nothing))
    for query_NF1, label in zip(query_NF.split(1), expected, strict=True):  # one by one: the share is the vote
        assert score(features(query_NF1, label_N=torch.tensor([label]))) == {"knn_top1": 1.0}


def test_the_measure_is_the_share_of_right_votes() -> None:
    story = three_class_evidence(held_out=45)
    classifier = KNeighborsClassifier(5, metric="cosine", algorithm="brute")
    classifier.fit(story.train.student_NF.numpy(), story.train.label_N.numpy())
    expected = classifier.score(story.held_out.student_NF.numpy(), story.held_out.label_N.numpy())
    assert judged(KNN(), story) == {"knn_top1": expected}


def test_many_queries_are_answered_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    story = three_class_evidence(held_out=45)
    expected = judged(KNN(), story)
    monkeypatch.setattr(knn, "_QUERIES", 7)
    assert judged(KNN(), story) == expected


def test_with_fewer_samples_than_neighbours_all_vote() -> None:
    nothing = features(torch.empty(0, 0))
    train = Features(normal(3, 2, 0), normal(3, 2, 0), torch.tensor([4, 4, 7]))
    held_out = Features(normal(9, 2, 1), normal(9, 2, 1), torch.full((9,), 4))
    assert judged(KNN(neighbours=5), Story(train, nothing, nothing, held_out)) == {"knn_top1": 1.0}
