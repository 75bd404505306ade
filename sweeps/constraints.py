"""What trials must keep to be taken: bounds on validation measures and on planned compute, apart from the goals.

A bound on planned compute is known before a trial is trained, and one that breaks it is never trained. The others are
known at the end: a complete trial that breaks one is told to the sampler as such, and never stands on the front.
"""

import math
from collections.abc import Mapping
from typing import Any

from search_spaces.policies import Bound
from trainables.metrics import PLANNED_METRICS

#: Bounds by the name of the metric.
Constraints = Mapping[str, Bound]


def constraints_of(file: Mapping[str, Any]) -> dict[str, Bound]:
    """The constraints of a sweep file as a ledger keeps it, in JSON values; older ones have none."""
    return {metric: Bound.model_validate(bound) for metric, bound in file.get("constraints", {}).items()}


def planned(constraints: Constraints) -> dict[str, Bound]:
    """Those on planned compute."""
    return {metric: bound for metric, bound in constraints.items() if metric in PLANNED_METRICS}


def excesses(constraints: Constraints, metrics: Mapping[str, float]) -> dict[str, float]:
    """By how much each bound is broken, in its metric's unit: 0 or less where it is kept, infinite without a value."""
    return {metric: bound.excess(metrics.get(metric, math.nan)) for metric, bound in constraints.items()}


def kept(constraints: Constraints, metrics: Mapping[str, float]) -> bool:
    """Whether every bound is kept."""
    return all(excess <= 0 for excess in excesses(constraints, metrics).values())
