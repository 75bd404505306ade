"""Few-shot accuracy on frozen features."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from trainables.base import Config
from trainables.protocols import ProbeSplit
from trainables.randomness import numpy_stream

_RESAMPLE_SEED = 0  # the same labelled images for every trial, so that trials can be compared


class FewShot(Config):
    """Accuracy of the nearest class mean (Snell et al. 2017, section 2.3) of 1, 5 and 10 labels per class.

    The mean over `resamples` draws of the labelled images.
    """

    at_rungs: ClassVar[bool] = False
    labels: ClassVar[tuple[int, ...]] = (1, 5, 10)
    measures: ClassVar[tuple[str, ...]] = tuple(f"few_shot_{labels}_top1" for labels in labels)

    resamples: int = Field(20, ge=20)

    def __call__(self, train: ProbeSplit, held_out: ProbeSplit) -> dict[str, float]:
        """``few_shot_1_top1``, ``few_shot_5_top1`` and ``few_shot_10_top1`` in [0, 1]."""
        return {
            measure: float(np.mean([self._score(train, held_out, count, draw) for draw in range(self.resamples)]))
            for count, measure in zip(self.labels, self.measures, strict=True)
        }

    @staticmethod
    def _score(train: ProbeSplit, held_out: ProbeSplit, count: int, draw: int) -> float:
        from sklearn.metrics import pairwise_distances_argmin

        features, labels = train.features_NF.numpy(), train.label_N.numpy()
        order = numpy_stream(_RESAMPLE_SEED, "few_shot", draw).permutation(len(labels))
        classes = np.unique(labels)
        means = np.stack([features[order[labels[order] == label][:count]].mean(axis=0) for label in classes])
        predicted = classes[pairwise_distances_argmin(held_out.features_NF.numpy(), means)]
        return float(np.mean(predicted == held_out.label_N.numpy()))
