"""A sweep of `digits.yaml` through the real command line, watched, and what its ledger says of where time went."""

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Usage, run_watched
from sweeps.events import Ended, Started
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from trainables.metrics import DEVICE_SECONDS

SWEEP = "swept"


@dataclass(frozen=True)
class Swept:
    """`busy` is, slot by slot, the start and end of each trial there, by `time.time`, in their order."""

    usage: Usage
    trials: list[TrialRecord]
    busy: list[list[tuple[float, float]]]

    @property
    def slots(self) -> int:
        """How many slots trained."""
        return len(self.busy)

    @property
    def first_trial(self) -> float:
        """When the first trial started."""
        return min(spans[0][0] for spans in self.busy)

    @property
    def training_seconds(self) -> float:
        """Seconds of slots in training steps: their arithmetic, and the views and negatives that it needs."""
        return sum(trial.metrics.get(DEVICE_SECONDS, 0.0) for trial in self.trials)

    @property
    def training_share(self) -> float:
        """The share of the wall time of all slots that is training."""
        return self.training_seconds / self.slots / self.usage.wall


def sweep_digits(storage: Path, overrides: list[str]) -> Swept:
    """Run it to its end. Raises RuntimeError if it did not get there."""
    settings = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "sweeps", "run", "search_spaces/digits.yaml", *settings]
    usage = run_watched([*command, "--storage", str(storage), "--id", SWEEP], storage / "printed.txt")
    with Ledger.open(storage / SWEEP) as ledger:
        recorded = [(at.timestamp(), event) for _, at, event in ledger.events()]
        trials = list(History.of(ledger.events()).trials.values())
    started = {event.trial: (at, event.slot) for at, event in recorded if isinstance(event, Started)}
    busy: dict[int, list[tuple[float, float]]] = {slot: [] for _, slot in sorted(started.values())}
    for at, event in recorded:
        if isinstance(event, Ended) and event.trial in started:
            began, slot = started[event.trial]
            busy[slot].append((began, at))
    return Swept(usage, trials, [sorted(spans) for spans in busy.values()])
