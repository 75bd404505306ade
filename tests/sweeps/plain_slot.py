"""Slots without Ray: a driver's trials, one at a time, in this process. The seam that the design names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search_spaces.sweep_file import LoadedSweep, load
from sweeps.driver import Driver
from sweeps.events import Ended, Opened, Reported, Started
from sweeps.ledger.store import Ledger
from sweeps.search.planning import search_of
from sweeps.slots.records import Job
from trainables.outcomes import Outcome, Report, RungReport, Verdict

NOWHERE = {"host": "here", "pid": 1, "code_digest": "c", "data_digest": "d", "environment": {}}

Train = Callable[[Job, Report], Outcome]


class PlainSlot:
    """Hands events to a driver in the order in which a slot would; `verdicts` is what it was answered."""

    def __init__(self, train: Train) -> None:
        self.train = train
        self.forgotten: list[int] = []
        self.ahead: list[Job] = []
        self.verdicts: dict[tuple[int, int], Verdict] = {}

    def submit_ahead(self, job: Job) -> None:
        self.ahead.append(job)

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        self.verdicts[trial, rung] = verdict

    def retry(self, trial: int, attempt: int) -> None:
        raise NotImplementedError("no worker is lost here")

    def abandon(self, trial: int, why: str) -> None:
        raise NotImplementedError("no worker is lost here")

    def forget(self, trial: int) -> None:
        self.forgotten.append(trial)

    def run(self, driver: Driver, job: Job) -> None:
        ids = {"trial": job.trial, "attempt": job.attempt}
        driver.take_in(Started(**ids, slot=0, slot_trials=0, workers=[]))

        def report(rung: RungReport) -> Verdict:
            driver.take_in(Reported(**ids, **vars(rung)))
            return self.verdicts[job.trial, rung.rung]

        outcome = self.train(job, report)
        driver.take_in(Ended(**ids, **vars(outcome)))


@contextmanager
def driving(
    folder: Path, loaded: LoadedSweep, slot: PlainSlot, at_once: int = 1, opened: dict[str, Any] = NOWHERE
) -> Iterator[Driver]:
    """A driver on the ledger in `folder`, which is made or continued; `opened` is what it records of itself."""
    if not (folder / "ledger.db").exists():
        spec = {"file": loaded.file.to_json(), "source": loaded.source, "overrides": []}
        Ledger.create(folder, loaded.file.name, spec).close()
    with Ledger.open(folder) as ledger:
        fence = ledger.claim()
        ledger.append(Opened(fence=fence, **opened))
        search = search_of(loaded.space, loaded.file, ledger.history.trials)
        yield Driver(ledger, loaded.file, search, at_once, slot)


def smoke(*overrides: str) -> LoadedSweep:
    """The shipped smoke sweep."""
    return load(Path("search_spaces/smoke.yaml"), overrides)


def formula(job: Job, report: Report) -> Outcome:
    """A trial that trains nothing: its accuracy grows with the memory and falls with the temperature."""
    accuracy = job.config["memory"]["size"] / 2000 - job.config["objective"]["temperature"] / 10
    metrics = {"transfer/knn_top1": accuracy}
    for rung, fidelity in enumerate((0.5, 1.0)):
        step = round(fidelity * job.config["steps"])
        if report(RungReport(rung, step, fidelity, metrics)) == "stop" and fidelity < 1:
            return Outcome("pruned", step, fidelity, metrics, "0" * 64)
    return Outcome("complete", job.config["steps"], 1.0, metrics, "0" * 64)
