"""Whether features tell what is new."""

from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from trainables.base import Config
from trainables.evaluation.features import unit_norm
from trainables.evidence import Evidence, Features, Score


class Novelty(Config):
    """How well the distance to the `k`-th nearest source feature tells samples of unseen classes from source samples.

    Deep nearest neighbours (Sun et al. 2022, arXiv 2204.06507, section 3), by cosine. Source samples are halved: one
    half is the reference, an augmented view of the other is what is not new, held-out samples are what is.
    Departures: a student has seen all source samples in its distillation, without labels, so none is new to it by
    itself; and held-out samples are distorted as their transfer set is, so that their shift is part of what tells.
    """

    at_rungs: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ("ood_auroc",)

    k: int = Field(5, ge=1)

    def fit(self, evidence: Evidence) -> Score:
        """``ood_auroc`` in [0, 1]; 0.5 is chance."""
        from sklearn.metrics import roc_auc_score

        reference_MF = evidence.source.student_NF[::2]
        known = self._distances(evidence.source_view.student_NF[1::2], reference_MF)

        def score(held_out: Features) -> dict[str, float]:
            new = self._distances(held_out.student_NF, reference_MF)
            is_new = np.repeat([False, True], [len(known), len(new)])
            return {"ood_auroc": float(roc_auc_score(is_new, np.concatenate([known.numpy(), new.numpy()])))}

        return score

    def _distances(self, queries_NF: Tensor, reference_MF: Tensor) -> Tensor:
        """Cosine distance of each query to the k-th nearest of the reference, (N,)."""
        cosine_NM = unit_norm(queries_NF) @ unit_norm(reference_MF).T
        nearest = cosine_NM.topk(min(self.k, len(reference_MF)), dim=1).values[:, -1]
        return (1 - nearest).round(decimals=6)  # what differs by rounding alone must not be told apart
