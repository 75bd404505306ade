"""Two runs of one trial, value by value, and what follows: exact, within tolerance, or failed. Pure arithmetic."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sweeps.ledger.history import TrialRecord
from sweeps.reproduction.process import Again
from trainables.metrics import COMPUTE_PREFIX, of_this_run

Kind = Literal["exact", "within tolerance", "failed"]

#: A final metric of another platform may differ by so much of its recorded value, and by so much at least.
TOLERANCE = 0.02

#: Standard deviations over seeds by which it may differ, too: what is rounded otherwise grows as another seed does. On
#: digits with 2 threads for 1, of 61 metrics the farthest was 2.4 away.
_SEED_DEVIATIONS = 3.0

WEIGHTS = "weights"
ENDING = "state"


@dataclass(frozen=True)
class Compared:
    """One value as it was recorded and as it came out again; None where it is not there.

    `final` says that it is one of the trial's result, rather than of a rung on the way.
    """

    step: int
    name: str
    recorded: float | str | None
    again: float | str | None
    final: bool = False

    @property
    def same(self) -> bool:
        """Bit for bit."""
        if isinstance(self.recorded, float) and isinstance(self.again, float) and math.isnan(self.recorded):
            return math.isnan(self.again)
        return self.recorded == self.again

    def __str__(self) -> str:
        """One line, with every digit."""
        return f"{self.name} at step {self.step} was {self.recorded!r}, and is {self.again!r}"


@dataclass(frozen=True)
class Judged:
    """The verdict; for one that failed `first` is the first value because of which it did."""

    kind: Kind
    compared: int
    differing: list[Compared] = field(default_factory=list)
    first: Compared | None = None

    @property
    def seeds_decide(self) -> bool:
        """Whether it failed by a final metric on another platform, which may still be no farther than another seed."""
        return self.first is not None and self.first.final and self.first.name != ENDING


def compared(trial: TrialRecord, again: Again) -> list[Compared]:
    """Every value of a trial that has ended, in the order of its steps, but measured time, which is never the same."""
    values = list(_metrics(0, trial.compute, again.planned))
    rungs = {report["rung"]: report for report in again.reports}
    for rung in sorted(trial.reports.keys() | rungs.keys()):
        recorded, new = trial.reports.get(rung), rungs.get(rung)
        step = recorded.step if recorded else new["step"] if new else 0
        values += _metrics(step, recorded.metrics if recorded else {}, new["metrics"] if new else {})
    outcome = again.outcome or {"state": again.failure or "failed", "metrics": {}, "weights_digest": None}
    values.append(Compared(trial.step, ENDING, trial.state, outcome["state"], final=True))
    planned = trial.compute.keys()
    recorded_end = {name: value for name, value in trial.metrics.items() if name not in planned}
    new_end = {name: value for name, value in outcome["metrics"].items() if name not in planned}
    values += _metrics(trial.step, recorded_end, new_end, final=True)
    values.append(Compared(trial.step, WEIGHTS, trial.weights_digest, outcome["weights_digest"]))
    return values


@dataclass(frozen=True)
class Rules:
    """By what a reproduction is judged.

    `same_platform` says that nothing is different that bits depend on, `bits_promised` that then they are the same:
    GPUs promise nothing. `deviations` are those of final metrics over seeds, if they are known.
    """

    same_platform: bool
    bits_promised: bool
    tolerance: float
    deviations: Mapping[str, float]

    @property
    def bitwise(self) -> bool:
        """Whether nothing may differ."""
        return self.same_platform and self.bits_promised


def judged(values: Sequence[Compared], rules: Rules) -> Judged:
    """Where bits are promised nothing may differ. Elsewhere final metrics may, by `allowed`, and what led to them.

    What is counted, FLOPs and bytes, may differ nowhere.
    """
    differing = [value for value in values if not value.same]
    failing = [value for value in differing if rules.bitwise or not _within(value, allowed(value, rules))]
    exact = rules.same_platform and not differing
    kind: Kind = "failed" if failing else "exact" if exact else "within tolerance"
    return Judged(kind, len(values), differing, failing[0] if failing else None)


def allowed(value: Compared, rules: Rules) -> float:
    """How far a final metric may be from the recorded one: a share, or some deviations over seeds if known."""
    size = abs(value.recorded) if isinstance(value.recorded, float | int) else 0.0
    return max(rules.tolerance * max(1.0, size), _SEED_DEVIATIONS * rules.deviations.get(value.name, 0.0))


def _within(value: Compared, bound: float) -> bool:
    if value.name.startswith(COMPUTE_PREFIX) or value.name == ENDING:
        return False
    if not value.final:
        return True
    return (
        isinstance(value.recorded, float | int)
        and isinstance(value.again, float | int)
        and abs(value.recorded - value.again) <= bound
    )


def _metrics(
    step: int, recorded: Mapping[str, float], again: Mapping[str, float], final: bool = False
) -> Iterator[Compared]:
    for name in dict.fromkeys([*recorded, *again]):
        if not of_this_run(name):
            yield Compared(step, name, recorded.get(name), again.get(name), final)
