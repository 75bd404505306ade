"""What is thought of trials that nobody has trained, by their parameters and the share trained: two models, averaged.

A forest of extremely randomised trees (Geurts et al. 2006), whose cuts are drawn by chance, so that they differ where
nothing was measured; and a Gaussian process with a Matern 5/2 kernel (Rasmussen and Williams 2006, eq. 4.17), which
sees what is smooth sooner. They err at different places, and where they disagree little is known. The process has one
length for all parameters and one share of noise, those of a few with the largest marginal likelihood (eq. 5.8): whoever
asks again gets the same answer, and the model of few trials has little to be wrong about.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, json_to_distribution
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Parameters = Mapping[str, Any]

_TREES = 50

#: How far values hang together, in ranges of a parameter, or halvings of the share trained.
_LENGTHS = (0.3, 0.6, 1.2, 2.4)

#: Which share of the variance of values no parameter explains.
_NOISES = (0.1, 0.25, 0.5, 0.9)

#: Of more trials the process is told the newest: it takes the cube of their number.
_TOLD = 500


class Encoding:
    """Parameters as numbers: a range from 0 to 1, on its logarithm where it is searched so; a choice by a column each.

    A parameter that a trial does not have, since it hangs on an option not taken, is -1: as far below its range as the
    range is wide, so that one split of a tree tells it from the others. `distributions` are Optuna's JSON by parameter
    name, as the ledger keeps them of each trial.
    """

    def __init__(self, distributions: Iterable[Mapping[str, str]]) -> None:
        texts = {name: text for of_trial in distributions for name, text in of_trial.items()}
        self._ranges = {name: json_to_distribution(texts[name]) for name in sorted(texts)}

    def __call__(self, parameters: Sequence[Parameters]) -> Matrix:
        """(trials, columns)."""
        columns = [self._columns(name, of, parameters) for name, of in self._ranges.items()]
        return np.column_stack([np.zeros((len(parameters), 0)), *columns])

    def _columns(self, name: str, of: Any, parameters: Sequence[Parameters]) -> Matrix:
        if isinstance(of, CategoricalDistribution):
            return np.array([[float(each.get(name) == choice) for choice in of.choices] for each in parameters])
        scale = math.log if of.log else float
        low, high = scale(of.low), scale(of.high)
        width = high - low or 1.0
        return np.array([[(scale(each[name]) - low) / width if name in each else -1.0] for each in parameters])


class Surrogate:
    """Fitted to values of trials at fidelities, the oldest first; answers for their end."""

    def __init__(
        self,
        encoding: Encoding,
        parameters: Sequence[Parameters],
        fidelities: Sequence[float],
        values: Sequence[float],
        seed: int,
    ) -> None:
        self._encoding = encoding
        inputs = self._inputs(parameters, fidelities)
        self._forest = ExtraTreesRegressor(_TREES, min_samples_leaf=2, max_features=0.7, random_state=seed)
        self._forest.fit(inputs, values)
        self._process = _likeliest(inputs[-_TOLD:], values[-_TOLD:])

    def __call__(self, parameters: Sequence[Parameters]) -> tuple[Vector, Vector]:
        """Mean and standard deviation of each trial at its end: of a mixture of what the two models think."""
        inputs = self._inputs(parameters, [1.0] * len(parameters))
        trees = np.stack([tree.predict(inputs.astype(np.float32)) for tree in self._forest.estimators_])
        smooth, doubt = self._process.predict(inputs, return_std=True)
        mean = np.stack([trees.mean(axis=0), smooth])
        variance = np.stack([trees.var(axis=0), doubt**2])
        return mean.mean(axis=0), np.sqrt(variance.mean(axis=0) + mean.var(axis=0))

    def _inputs(self, parameters: Sequence[Parameters], fidelities: Sequence[float]) -> Matrix:
        return np.column_stack([self._encoding(parameters), np.log2(fidelities)])


def _likeliest(inputs: Matrix, values: Sequence[float]) -> GaussianProcessRegressor:
    fitted = (
        GaussianProcessRegressor(
            ConstantKernel(1 - noise) * Matern(length, nu=2.5), alpha=noise, optimizer=None, normalize_y=True
        ).fit(inputs, values)
        for length, noise in itertools.product(_LENGTHS, _NOISES)
    )
    return max(fitted, key=lambda process: process.log_marginal_likelihood_value_)
