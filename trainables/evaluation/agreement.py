"""How much of the teacher is in the student's features, by yardsticks that are the same for every objective."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trainables.base import Config
from trainables.evaluation.features import centred, unit_norm
from trainables.evidence import Evidence, Features, Score
from trainables.information import best_temperature, infonce_bound
from trainables.randomness import numpy_stream

_GROUP_SEED = 0  # the same candidates for every trial, so that trials can be compared


class TeacherAgreement(Config):
    """Linear CKA with the teacher, and a lower bound of the mutual information with it, on held-out samples.

    ``cka`` is Kornblith et al. 2019 (arXiv 1905.00414, eq. 4 with linear kernels). ``mi_bound_nats`` is the InfoNCE
    bound log K + E log softmax (van den Oord et al. 2018, arXiv 1807.03748, eq. 5; Poole et al. 2019, arXiv 1905.06922,
    eq. 10) with one critic for all students, so that trials of different objectives can be compared: the cosine between
    the teacher's features and what a ridge regression of penalty `alpha` predicts of them, over a temperature. The
    regression is fitted on the source and the temperature on its augmented view: held-out samples only judge.

    Each held-out sample must be told from K - 1 others, K being `candidates`, or all there are if that is fewer; the
    bound is at most log K. It is below 0 where what the source teaches does not hold on the transfer set.
    Departures: the critic is not trained to maximise the bound, but for its temperature. That is not fitted on `train`:
    its few images are not distorted, and the temperature that they ask for is far too low for those that are.
    """

    at_rungs: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ("cka", "mi_bound_nats")

    candidates: int = Field(128, ge=2)
    alpha: float = Field(10.0, gt=0)

    def fit(self, evidence: Evidence) -> Score:
        """``cka`` in [0, 1] and ``mi_bound_nats``, at most log K."""
        critic = _Critic(evidence.source, self.alpha)
        temperature = best_temperature(critic.cosines(evidence.source_view, self.candidates))

        def score(held_out: Features) -> dict[str, float]:
            bound = infonce_bound(critic.cosines(held_out, self.candidates), temperature)
            return {"cka": linear_cka(held_out.student_NF, held_out.teacher_NF), "mi_bound_nats": bound}

        return score


class _Critic:
    """A ridge regression from standardised student features to standardised teacher features."""

    def __init__(self, source: Features, alpha: float) -> None:
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._teacher_scaler = StandardScaler()
        teacher_NF = self._teacher_scaler.fit_transform(source.teacher_NF.double().numpy())
        self._regression = make_pipeline(StandardScaler(), Ridge(alpha))
        self._regression.fit(source.student_NF.double().numpy(), teacher_NF)

    def cosines(self, features: Features, candidates: int) -> Tensor:
        """(groups, K, K): in each group, the predictions of all samples against the teacher's features of all.

        Groups are cut in a fixed random order; samples that fill no group are left out.
        """
        predicted_NF = self._regression.predict(features.student_NF.double().numpy())
        teacher_NF = self._teacher_scaler.transform(features.teacher_NF.double().numpy())
        size = min(candidates, len(teacher_NF))
        order = numpy_stream(_GROUP_SEED, "agreement").permutation(len(teacher_NF))
        groups = order[: len(order) // size * size].reshape(-1, size)
        predicted, teacher = (unit_norm(torch.from_numpy(rows)) for rows in (predicted_NF, teacher_NF))
        return predicted[groups] @ teacher[groups].mT


def linear_cka(a_NF: Tensor, b_NF: Tensor) -> float:
    """Linear centred kernel alignment in [0, 1]; 0 where either side does not vary."""
    a_NF, b_NF = centred(a_NF), centred(b_NF)
    if max(a_NF.shape[1], b_NF.shape[1]) < len(a_NF):  # the smaller of two ways to the same three norms
        joint, own = (a_NF.T @ b_NF).square().sum(), (a_NF.T @ a_NF).norm() * (b_NF.T @ b_NF).norm()
    else:
        kernel_a, kernel_b = a_NF @ a_NF.T, b_NF @ b_NF.T
        joint, own = (kernel_a * kernel_b).sum(), kernel_a.norm() * kernel_b.norm()
    return (joint / own).item() if own > 0 else 0.0
