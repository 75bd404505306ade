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

#: How a trial can fail. A lost worker's trial goes on from its last checkpoint, as often as `sweeps.slots.state` says;
#: no other failure is tried again, as it would end the same way. Features that have collapsed are no failure: such a
#: trial completes, and is flagged (`trainables.metrics.collapsed`).
FailureKind = Literal["nan", "oom", "timeout", "worker_lost", "bad_data", "user_error"]


class TrialFailure(Exception):
    """A trial that cannot end well, with the class of its failure; retrying it would end the same way."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind: FailureKind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class StorageFull(Exception):
    """Nothing more can be stored. No fault of the trial, which goes on where it was once there is room again."""


class Leaving(Exception):  # no error of the trial either
    """A worker is about to be taken away: the trial has written a checkpoint, and goes on from it elsewhere."""


class DamagedFile(TrialFailure):
    """A stored file is not what was written: torn, flipped, of something else. The message names it."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_data", message)
        self.args = (message,)  # what it is unpickled with, on its way through Ray


class NewerFile(TrialFailure):
    """A stored file was written by a newer version of this program, which may mean something else by it."""

    def __init__(self, file: str, version: int, known: int) -> None:
        told = f"this version reads files up to format {known}, and {file} has format {version}"
        super().__init__("bad_data", f"{told}. Use the version of contrastive-sweeps that wrote it, or a newer one")
        self.args = (file, version, known)
