"""Few-shot accuracy on frozen features."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from trainables.base import Config
from trainables.evidence import Evidence, Features, Score
from trainables.randomness import numpy_stream

_RESAMPLE_SEED = 0  # the same labelled images for every trial, so that trials can be compared


class FewShot(Config):
    """Accuracy of the nearest class mean (Snell et al. 2017, section 2.3) of 1, 2, 5 and 10 labels per class.

    The mean over `resamples` draws of the labelled images. ``few_shot_area`` sums the four up: the area under accuracy
    over the logarithm of the labels, as a share of the area under an accuracy of 1.
    """

    at_rungs: ClassVar[bool] = False
    labels: ClassVar[tuple[int, ...]] = (1, 2, 5, 10)
    measures: ClassVar[tuple[str, ...]] = (*(f"few_shot_{labels}_top1" for labels in labels), "few_shot_area")

    resamples: int = Field(20, ge=20)

    def fit(self, evidence: Evidence) -> Score:
        """``few_shot_1_top1`` and so on, and ``few_shot_area``, all in [0, 1]."""
        classes = np.unique(evidence.train.label_N.numpy())
        draws = [self._means(evidence.train, classes, draw) for draw in range(self.resamples)]
        means = torch.from_numpy(np.stack(draws))

        def score(held_out: Features) -> dict[str, float]:
            accuracies = self._accuracies(held_out, classes, means)
            return dict(zip(self.measures, [*accuracies, area_over_log(self.labels, accuracies)], strict=True))

        return score

    def _means(self, train: Features, classes: NDArray[Any], draw: int) -> NDArray[np.float64]:
        """Class means (counts of labels, classes, F): a larger count adds to the images of the smaller ones."""
        features, labels = train.student_NF.double().numpy(), train.label_N.numpy()
        order = numpy_stream(_RESAMPLE_SEED, "few_shot", draw).permutation(len(labels))
        shots = [features[order[labels[order] == label][: max(self.labels)]] for label in classes]
        return np.array([[shot[:count].mean(axis=0) for shot in shots] for count in self.labels])

    def _accuracies(self, held_out: Features, classes: NDArray[Any], means: torch.Tensor) -> list[float]:
        """One for each count of labels; `means` are (resamples, counts, classes, F)."""
        distances = torch.cdist(held_out.student_NF.double(), means.flatten(0, 2))
        nearest = distances.reshape(-1, *means.shape[:3]).argmin(dim=3).numpy()
        correct = classes[nearest] == held_out.label_N.numpy()[:, None, None]
        return [float(accuracy) for accuracy in correct.mean(axis=(0, 1))]


def area_over_log(labels: Sequence[int], accuracies: Sequence[float]) -> float:
    """Area under accuracies over log(labels), by trapezoids, over the width of that axis: in [0, 1]."""
    axis = np.log(labels)
    return float(np.trapezoid(accuracies, axis) / (axis[-1] - axis[0]))
