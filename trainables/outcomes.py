"""What a trial says while it runs and how it ends. Plain values: no tensors, nothing of torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["continue", "stop"]


@dataclass(frozen=True)
class RungReport:
    """What a trial says at a rung. `fidelity` is the share of the planned training that lies behind it."""

    rung: int
    step: int
    fidelity: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended by itself: trained to the end, or stopped at a rung on a verdict.

    `metrics` are those of the last rung, and for a complete trial those of the final probes and of the test split.
    `weights_digest` is the SHA-256 of the student's weights.
    """

    state: Literal["complete", "pruned"]
    step: int
    fidelity: float
    metrics: dict[str, float]
    weights_digest: str


Report = Callable[[RungReport], Verdict]

FailureKind = Literal["nan", "oom", "timeout", "worker_lost", "bad_data", "user_error", "collapsed"]


class TrialFailure(Exception):
    """A trial that cannot end well, with the class of its failure; retrying it would end the same way."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind: FailureKind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
