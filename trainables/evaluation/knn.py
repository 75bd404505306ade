"""Nearest neighbours on frozen features: no training, so it can be asked at every rung."""

from typing import ClassVar

from pydantic import Field

from trainables.base import Config
from trainables.evidence import Evidence


class KNN(Config):
    """Accuracy of a vote among the `neighbours` nearest training features by cosine (Wu et al. 2018, section 4.1)."""

    at_rungs: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("knn_top1",)

    neighbours: int = Field(5, ge=1)

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        """``knn_top1`` in [0, 1]."""
        from sklearn.neighbors import KNeighborsClassifier

        train, held_out = evidence.train, evidence.held_out
        classifier = KNeighborsClassifier(self.neighbours, metric="cosine", algorithm="brute")
        classifier.fit(train.student_NF.numpy(), train.label_N.numpy())
        return {"knn_top1": float(classifier.score(held_out.student_NF.numpy(), held_out.label_N.numpy()))}
