"""Probes: what frozen features are worth. The fields of `Evaluation` are the family's table."""

from trainables.base import Config
from trainables.evaluation.agreement import TeacherAgreement
from trainables.evaluation.few_shot import FewShot
from trainables.evaluation.geometry import Geometry
from trainables.evaluation.knn import KNN
from trainables.evaluation.linear import Linear
from trainables.evaluation.novelty import Novelty
from trainables.evidence import Probe


class Evaluation(Config):
    """Which probes are made, with their settings: those `at_rungs` at every rung, all of them at the end."""

    knn: KNN = KNN()
    linear: Linear = Linear()
    few_shot: FewShot = FewShot()
    geometry: Geometry = Geometry()
    agreement: TeacherAgreement = TeacherAgreement()
    novelty: Novelty = Novelty()

    def probes(self) -> list[Probe]:
        """Every probe."""
        return [self.knn, self.linear, self.few_shot, self.geometry, self.agreement, self.novelty]
