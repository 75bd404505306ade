import math

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tests.trainables.evaluation.evidence import judged, three_class_evidence
from trainables.evaluation.few_shot import FewShot, area_over_log
from trainables.randomness import numpy_stream


def test_area_of_known_curves() -> None:
    assert area_over_log((1, 2, 5, 10), (0.7, 0.7, 0.7, 0.7)) == pytest.approx(0.7)
    assert area_over_log((1, 10), (0.0, 1.0)) == pytest.approx(0.5)
    assert area_over_log((1, 10, 100), (0.0, 1.0, 1.0)) == pytest.approx(0.75)
    straight = [math.log10(labels) for labels in (1, 2, 5, 10)]
    assert area_over_log((1, 2, 5, 10), straight) == pytest.approx(0.5)


def test_accuracies_are_those_of_the_nearest_mean_on_each_draw() -> None:
    evidence = three_class_evidence()
    features, labels = evidence.train.student_NF.numpy(), evidence.train.label_N.numpy()
    measured = judged(FewShot(), evidence)
    for count in (1, 2, 5, 10):
        scores = []
        for draw in range(20):
            order = numpy_stream(0, "few_shot", draw).permutation(len(labels))
            means = [features[order[labels[order] == label][:count]].mean(axis=0) for label in (6, 7, 8)]
            classifier = KNeighborsClassifier(1).fit(means, [6, 7, 8])
            scores.append(classifier.score(evidence.held_out.student_NF.numpy(), evidence.held_out.label_N.numpy()))
        assert measured[f"few_shot_{count}_top1"] == pytest.approx(np.mean(scores))


def test_the_area_is_that_of_its_own_accuracies() -> None:
    measured = judged(FewShot(), three_class_evidence())
    accuracies = [measured[f"few_shot_{count}_top1"] for count in (1, 2, 5, 10)]
    assert accuracies == sorted(accuracies)
    assert measured["few_shot_area"] == pytest.approx(area_over_log((1, 2, 5, 10), accuracies))
