"""What a rung says about the end: the rank correlation of a measure at a rung with the same measure at the end."""

from collections.abc import Mapping

import numpy as np

from trainables.config import TrialConfig

#: Spearman's rank correlation with the end on digits, by learning-rate schedule, whether weights are averaged, and
#: fidelity. Of a constant rate with averaged weights 2,000 configs, the mean of three seeds
#: (`benchmarks/digits_table.parquet`); of the others 100 configs with one seed: 95 % intervals reach
#: 0.2 beyond these at 1/8, and 0.1 at 1/2 (`benchmarks.rungs`).
MEASURED: Mapping[tuple[str, bool], Mapping[float, float]] = {
    ("constant", True): {0.125: 0.56, 0.25: 0.63, 0.5: 0.82},
    ("constant", False): {0.125: 0.30, 0.25: 0.52, 0.5: 0.75},
    ("cosine", False): {0.125: 0.38, 0.25: 0.65, 0.5: 0.89},
    ("steps", False): {0.125: 0.30, 0.25: 0.55, 0.5: 0.87},
}


def rung_correlations(config: TrialConfig) -> list[tuple[float, float]]:
    """The least and the most that each rung but the last may correlate with the end: 0 and 1 where nobody measured."""
    fidelities = [step / config.steps for step in config.rung_steps()[:-1]]
    measured = MEASURED.get((config.optimizer.schedule, config.optimizer.averaging is not None))
    if measured is None:
        return [(0.0, 1.0)] * len(fidelities)
    points = sorted({**measured, 1.0: 1.0}.items())
    found = np.interp(fidelities, [fidelity for fidelity, _ in points], [value for _, value in points])
    return [(float(value), float(value)) for value in found]
