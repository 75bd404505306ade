"""How features are spread: no labels are learned from, and nothing is fitted."""

import math
from statistics import mean
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trainables.base import Config
from trainables.evaluation.features import centred, unit_norm
from trainables.evidence import Evidence, Features, Score
from trainables.metrics import COLLAPSED

_FEWEST_DIRECTIONS = 1.5  # between the effective rank of a line, 1, and of a plane, 2
_LEAST_DISTANCE = 1e-3  # of unit-norm features, whose distances are at most 2


class Geometry(Config):
    """Alignment, uniformity, intra-class alignment and effective rank of the student's features.

    On features of unit norm: ``alignment``, the mean squared distance of an image's two views (alpha = 2), and
    ``uniformity``, log E exp(-`t` |f_i - f_j|^2) over distinct pairs (Wang and Isola 2020, arXiv 2005.10242, section
    4); ``intra_class_alignment``, the mean squared distance of distinct pairs of a class, averaged over the classes,
    which tells over-clustering (Shi et al. 2021, arXiv 2107.14762). On the features as they are: ``effective_rank``,
    the exponential of the entropy of their normalised singular values (Garrido et al. 2023, arXiv 2210.02885).
    Departures: the features are centred before the effective rank is taken, so that a common part is no direction.

    ``collapsed`` is 1 where features lie on a line or all point the same way: their effective rank is below 1.5, or
    the root mean square distance of unit-norm ones is below 0.001.
    """

    at_rungs: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = (
        "alignment",
        "uniformity",
        "intra_class_alignment",
        "effective_rank",
        COLLAPSED,
    )

    t: float = Field(2.0, gt=0)

    def fit(self, evidence: Evidence) -> Score:
        """Squared distances in [0, 4], uniformity in [-4t, 0], the rank in [1, F], or 0 where features do not vary."""
        source_NF, view_NF = unit_norm(evidence.source.student_NF), unit_norm(evidence.source_view.student_NF)
        alignment = float((source_NF - view_NF).square().sum(dim=1).mean())

        def score(held_out: Features) -> dict[str, float]:
            return {"alignment": alignment, **self._spread(held_out.student_NF, held_out.label_N)}

        return score

    def _spread(self, features_NF: Tensor, label_N: Tensor) -> dict[str, float]:
        unit_NF, rank = unit_norm(features_NF), effective_rank(features_NF)
        spread = mean_square_distance(unit_NF) ** 0.5
        return {
            "uniformity": uniformity(unit_NF, self.t),
            "intra_class_alignment": intra_class_alignment(unit_NF, label_N),
            "effective_rank": rank,
            COLLAPSED: float(rank < _FEWEST_DIRECTIONS or spread < _LEAST_DISTANCE),
        }


def uniformity(unit_NF: Tensor, t: float) -> float:
    """log E exp(-t |f_i - f_j|^2) over distinct pairs."""
    distances = torch.pdist(unit_NF.float()).double()  # of N (N - 1) / 2 pairs: half the cost in single precision
    return float(distances.square().mul(-t).logsumexp(dim=0)) - math.log(len(distances))


def mean_square_distance(features_NF: Tensor) -> float:
    """Over distinct pairs: twice the variance that counts N - 1."""
    return 2 * float(features_NF.var(dim=0).sum())


def intra_class_alignment(unit_NF: Tensor, label_N: Tensor) -> float:
    """Mean over classes of the mean squared distance of distinct pairs; classes of a single sample have none."""
    classes = [unit_NF[label_N == label] for label in torch.unique(label_N)]
    distances = [mean_square_distance(members) for members in classes if len(members) > 1]
    return mean(distances) if distances else 0.0


def effective_rank(features_NF: Tensor) -> float:
    """exp of the entropy of the normalised singular values of the centred features; 0 where they do not vary."""
    singular = torch.linalg.svdvals(centred(features_NF))
    share = singular / singular.sum()
    return float(torch.special.entr(share).sum().exp()) if singular.any() else 0.0
