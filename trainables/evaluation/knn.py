"""Nearest neighbours on frozen features: no training, so it can be asked at every rung."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from trainables.base import Config
from trainables.evidence import Evidence, Features, Score

_QUERIES = 4096  # at a time: all distances of many would not fit into memory


class KNN(Config):
    """Accuracy of a vote among the `neighbours` nearest training features by cosine (Wu et al. 2018, section 4.1).

    The votes are those of scikit-learn's brute-force classifier; of classes with as many votes the smallest wins.
    """

    at_rungs: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("knn_top1",)

    neighbours: int = Field(5, ge=1)

    def fit(self, evidence: Evidence) -> Score:
        """``knn_top1`` in [0, 1]."""
        train_MF = _unit_norm(evidence.train.student_NF)
        classes, class_M = np.unique(evidence.train.label_N.numpy(), return_inverse=True)

        def score(held_out: Features) -> dict[str, float]:
            chunks = torch.split(held_out.student_NF, _QUERIES)
            votes = [self.votes(_unit_norm(chunk), train_MF, class_M) for chunk in chunks]
            return {"knn_top1": float((classes[np.concatenate(votes)] == held_out.label_N.numpy()).mean())}

        return score

    def votes(self, query_NF: NDArray[Any], train_MF: NDArray[Any], class_M: NDArray[Any]) -> NDArray[Any]:
        """The class of each query, (N,); rows are of length 1, classes are numbered from 0."""
        distance_NM = np.clip(1 - query_NF @ train_MF.T, 0, 2)
        neighbours, queries, classes = min(self.neighbours, len(train_MF)), len(query_NF), class_M.max() + 1
        nearest_NK = np.argpartition(distance_NM, neighbours - 1, axis=1)[:, :neighbours]
        counted = class_M[nearest_NK] + classes * np.arange(queries)[:, None]
        count_NC = np.bincount(counted.ravel(), minlength=queries * classes).reshape(queries, classes)
        winner_N: NDArray[Any] = count_NC.argmax(axis=1)
        return winner_N


def _unit_norm(features_NF: Tensor) -> NDArray[Any]:
    """Rows of length 1 as scikit-learn makes them, so that distances tie where they tie there."""
    features = features_NF.numpy()
    length_N = np.sqrt(np.einsum("ij,ij->i", features, features))
    length_N[length_N < 10 * np.finfo(features.dtype).eps] = 1
    unit_NF: NDArray[Any] = features / length_N[:, None]
    return unit_NF
