"""A linear probe on frozen features."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainables.base import Config
from trainables.evidence import Evidence, Features, Score

_BINS = 15  # of Guo et al. 2017


class Linear(Config):
    """Accuracy and calibration of a logistic regression on standardised features.

    L2 of strength 1/`c`, L-BFGS to convergence.
    """

    at_rungs: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ("linear_top1", "linear_ece")

    c: float = Field(1.0, gt=0)

    def fit(self, evidence: Evidence) -> Score:
        """``linear_top1`` and ``linear_ece``, both in [0, 1]."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=self.c, max_iter=2000))
        classifier.fit(evidence.train.student_NF.numpy(), evidence.train.label_N.numpy())

        def score(held_out: Features) -> dict[str, float]:
            probability_NC = classifier.predict_proba(held_out.student_NF.numpy())
            correct_N = classifier.classes_[probability_NC.argmax(axis=1)] == held_out.label_N.numpy()
            calibration = expected_calibration_error(probability_NC.max(axis=1), correct_N)
            return {"linear_top1": float(correct_N.mean()), "linear_ece": calibration}

        return score


def expected_calibration_error(confidence_N: NDArray[Any], correct_N: NDArray[np.bool_]) -> float:
    """How far confidence lies from accuracy, over 15 equal bins (Guo et al. 2017, arXiv 1706.04599, eq. 3).

    `confidence_N` is the probability of the predicted class. The result is in [0, 1].
    """
    inner_edges = np.linspace(0, 1, _BINS + 1)[1:-1]
    bin_N = np.digitize(confidence_N, inner_edges, right=True)
    # a bin's share of the samples times |accuracy - confidence| is |sum of (correct - confidence)| / N
    return float(np.abs(np.bincount(bin_N, weights=correct_N - confidence_N)).sum() / len(bin_N))
