"""What is thought of trials that nobody has trained: a forest over their parameters and the share trained.

Of extremely randomised trees (Geurts et al. 2006): their cuts are drawn by chance, so that they differ where nothing
was measured, as a model must that says what is uncertain.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, json_to_distribution
from sklearn.ensemble import ExtraTreesRegressor

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Parameters = Mapping[str, Any]

_TREES = 50


class Encoding:
    """Parameters as numbers: a range by its value, on its logarithm where it is searched so; a choice by a column each.

    A parameter that a trial does not have, since it hangs on an option not taken, lies as far below its range as the
    range is wide: one split of a tree tells it from the others. `distributions` are Optuna's JSON by parameter name, as
    the ledger keeps them of each trial.
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
        missing = low - (high - low or 1.0)
        return np.array([[scale(each[name]) if name in each else missing] for each in parameters])


class Surrogate:
    """Fitted to values of trials at fidelities; answers for their end. Deviations are those between its trees."""

    def __init__(
        self,
        encoding: Encoding,
        parameters: Sequence[Parameters],
        fidelities: Sequence[float],
        values: Sequence[float],
        seed: int,
    ) -> None:
        self._encoding = encoding
        self._forest = ExtraTreesRegressor(_TREES, min_samples_leaf=2, max_features=0.7, random_state=seed)
        self._forest.fit(self._inputs(parameters, fidelities), values)

    def __call__(self, parameters: Sequence[Parameters]) -> tuple[Vector, Vector]:
        """Mean and standard deviation of each trial at its end."""
        inputs = self._inputs(parameters, [1.0] * len(parameters)).astype(np.float32)
        trees = np.stack([tree.predict(inputs) for tree in self._forest.estimators_])
        return trees.mean(axis=0), trees.std(axis=0)

    def _inputs(self, parameters: Sequence[Parameters], fidelities: Sequence[float]) -> Matrix:
        return np.column_stack([self._encoding(parameters), np.log2(fidelities)])
