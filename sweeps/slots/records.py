"""What the pool keeps of a trial and of a slot, in memory alone."""

from dataclasses import dataclass, field
from typing import Any

from sweeps.events import Ended, Lost, Reported, SlotEvent, Worker
from trainables.outcomes import Verdict


@dataclass(frozen=True)
class Job:
    """A trial to be trained in a slot of its class.

    `attempt` is the number of its first attempt here: above 1 when a sweep is resumed.
    """

    trial: int
    config: dict[str, Any]
    attempt: int = 1
    slot_class: int = 0


class PoolClosedError(RuntimeError):
    """No trial is trained any more; the message says why."""


@dataclass
class HeldTrial:
    """What the pool knows of a trial."""

    job: Job
    attempt: int
    losses: int = 0  # attempts whose workers died, as far as that may have been the trial's fault
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    events: list[SlotEvent] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether its end is told."""
        return bool(self.events) and isinstance(self.events[-1], Ended)

    @property
    def stopped(self) -> bool:
        """Whether a verdict stopped it."""
        return "stop" in self.verdicts.values()

    @property
    def lost(self) -> bool:
        """Whether its workers died, and nobody has said what follows."""
        return bool(self.events) and isinstance(self.events[-1], Lost)

    def reports(self) -> list[Reported]:
        """What it has said at its rungs."""
        return [event for event in self.events if isinstance(event, Reported)]


@dataclass
class HeldSlot:
    """What the pool knows of a slot."""

    workers: list[Worker]
    trained: int = 0
    generation: int = 0
    trial: int | None = None
    heard: float = 0.0  # when it last made progress
    waits: bool = False  # for a verdict, which may take as long as it takes
    condemned: bool = False  # its workers are about to be killed
    leaving: bool = False  # they were told that they are about to be taken away
    gone: bool = False
