"""What a rung says about the end: the rank correlation of a measure at a rung with the same measure at the end."""

from collections.abc import Mapping

import numpy as np

from trainables.config import TrialConfig

#: Spearman's rank correlation with the end, by learning-rate schedule, whether weights are averaged, and fidelity: of
#: 2,000 configs on digits, the mean of three seeds (`benchmarks/digits_table.parquet`). Others are not measured yet.
MEASURED: Mapping[tuple[str, bool], Mapping[float, float]] = {("constant", True): {0.125: 0.56, 0.25: 0.63, 0.5: 0.82}}


def rung_correlations(config: TrialConfig) -> list[tuple[float, float]]:
    """The least and the most that each rung but the last may correlate with the end: 0 and 1 where nobody measured."""
    fidelities = [step / config.steps for step in config.rung_steps()[:-1]]
    measured = MEASURED.get((config.optimizer.schedule, config.optimizer.averaging is not None))
    if measured is None:
        return [(0.0, 1.0)] * len(fidelities)
    points = sorted({**measured, 1.0: 1.0}.items())
    found = np.interp(fidelities, [fidelity for fidelity, _ in points], [value for _, value in points])
    return [(float(value), float(value)) for value in found]
