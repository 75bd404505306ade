"""What a handful of seeds can say: intervals, gains, effects, and whether a claim about them holds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Row:
    """Accuracies of one line of the table, seed by seed, and its modelled cost."""

    name: str
    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    cost_s: float = 0.0

    def cells(self) -> tuple[str, ...]:
        spread = f"{self.validation.std(ddof=1):.3f}" if len(self.validation) > 1 else ""
        cost = f"{self.cost_s:.3f}" if self.cost_s else ""
        return self.name, interval(self.validation), spread, f"{self.test.mean():.3f}", cost


@dataclass(frozen=True)
class Claim:
    """A sentence of the verdict, and whether the numbers bear it."""

    text: str
    holds: bool


def margin(values: NDArray[np.float64]) -> float:
    """Half the 95% t-interval of the mean; 0 for a single value, which has no seed."""
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else 0.0


def interval(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.3f} ± {margin(values):.3f}" if len(values) > 1 else f"{values.mean():.3f}"


def gain(best: Row, other: Row) -> Claim:
    difference = best.validation - other.validation
    return Claim(f"best - {other.name} = {interval(difference)}", bool(difference.mean() > margin(difference)))


def effect(axis: str, best: Row, others: list[Row]) -> Claim:
    """An axis matters if one of its settings changes the accuracy by more than its interval and the seeds' spread."""
    other = max(others, key=lambda row: abs((best.validation - row.validation).mean()))
    difference = best.validation - other.validation
    spread = float(np.sqrt((best.validation.var(ddof=1) + other.validation.var(ddof=1)) / 2))
    costs = [row.cost_s for row in (best, *others)]
    text = (
        f"{axis} moves accuracy by {interval(difference)} (seed spread {spread:.3f}; at {other.name}) "
        f"and cost by {max(costs) / min(costs) - 1:.0%} (seed spread 0)"
    )
    return Claim(text, bool(abs(difference.mean()) > max(margin(difference), spread)))
