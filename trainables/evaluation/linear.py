"""A linear probe on frozen features."""

from typing import ClassVar

from pydantic import Field

from trainables.base import Config
from trainables.protocols import ProbeSplit


class Linear(Config):
    """Accuracy of a logistic regression on standardised features (L2 of strength 1/`c`, L-BFGS to convergence)."""

    at_rungs: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ("linear_top1",)

    c: float = Field(1.0, gt=0)

    def __call__(self, train: ProbeSplit, held_out: ProbeSplit) -> dict[str, float]:
        """``linear_top1`` in [0, 1]."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=self.c, max_iter=2000))
        classifier.fit(train.features_NF.numpy(), train.label_N.numpy())
        return {"linear_top1": float(classifier.score(held_out.features_NF.numpy(), held_out.label_N.numpy()))}
