"""The product's own search and stopping in the simulator: its driver, its search, its rules; nothing is trained."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from benchmarks.table import ACCURACY, FIDELITIES, POINTS, SWEEP_FILE, Table
from search_spaces.nodes import Draw, even_numbers, even_wholes
from search_spaces.space import Space
from search_spaces.sweep_file import SweepFile, load
from sweeps.driver import Driver
from sweeps.events import Ended, Opened, Reported, Started
from sweeps.front import front
from sweeps.ledger.store import Ledger
from sweeps.search.planning import search_of
from sweeps.slots.records import Job
from trainables.config import TrialConfig
from trainables.outcomes import Verdict


class OnTheTable(Space):
    """A space of which every draw is moved to a config of the table, each of which has its equal share of it."""

    @classmethod
    def of(cls, file: SweepFile) -> Self:
        """The space of a sweep file."""
        return cls.parse({**file.trial, "workers": file.resources.workers}, TrialConfig)

    def suggest(self, draw: Draw) -> dict[str, Any]:
        return super().suggest(_InCells(draw))


class _InCells:
    """A draw that divides each range in as many equal cells as the table has values of it, and picks those."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self.suggest_categorical = draw.suggest_categorical

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        drawn = self._draw.suggest_float(name, low, high, step=step, log=log)
        return even_numbers(low, high, POINTS, step=step, log=log)[_cell(drawn, low, high, log=log)]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        drawn = self._draw.suggest_int(name, low, high, step=step, log=log)
        return even_wholes(low, high, POINTS, step=step, log=log)[_cell(drawn, low, high, log=log)]


def _cell(value: float, low: float, high: float, *, log: bool) -> int:
    scale = math.log if log else float
    return min(int((scale(value) - scale(low)) / (scale(high) - scale(low)) * POINTS), POINTS - 1)


class Ours:
    """One sweep; `overrides` set keys of the table's sweep file, such as ``search={name: random}``."""

    def __init__(self, table: Table, slots: int, overrides: list[str]) -> None:
        loaded = load(SWEEP_FILE, ["budget.trials=2000", *overrides])
        self._table, self._goals = table, loaded.file.goals
        self._verdicts: dict[tuple[int, int], Verdict] = {}
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        spec = {"file": loaded.file.to_json(), "source": loaded.source, "overrides": []}
        Ledger.create(Path(self._folder.name), "simulated", spec).close()
        self._ledger = Ledger.open(Path(self._folder.name))
        fence = self._ledger.claim()
        opened = {"host": "here", "pid": 1, "code_digest": "c", "data_digest": "d", "environment": {}}
        self._ledger.append(Opened(fence=fence, **opened))
        search = search_of(OnTheTable.of(loaded.file), loaded.file, self._ledger.history.trials)
        self._driver = Driver(self._ledger, loaded.file, search, slots, self)

    def submit_ahead(self, job: Job) -> None:
        pass

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        self._verdicts[trial, rung] = verdict

    def retry(self, trial: int, attempt: int) -> None:
        raise NotImplementedError("no worker is lost here")

    def abandon(self, trial: int, why: str) -> None:
        raise NotImplementedError("no worker is lost here")

    def forget(self, trial: int) -> None:
        pass

    def next_trial(self) -> tuple[int, int] | None:
        job = self._driver.next_trial()
        if job is None:
            return None
        self._driver.take_in(Started(trial=job.trial, attempt=1, slot=0, slot_trials=0, workers=[]))
        return job.trial, self._table.place(job.config)

    def reached(self, trial: int, rung: int, accuracy: float) -> bool:
        metrics = {ACCURACY: accuracy}
        at = {"trial": trial, "attempt": 1, "step": rung + 1, "fidelity": FIDELITIES[rung], "metrics": metrics}
        self._driver.take_in(Reported(**at, rung=rung))
        if self._verdicts[trial, rung] == "continue":
            return True
        self._driver.take_in(Ended(**at, state="pruned"))
        return False

    def ended(self, trial: int, accuracy: float) -> None:
        at: Mapping[str, Any] = {"trial": trial, "attempt": 1, "step": 4, "fidelity": 1.0}
        self._driver.take_in(Ended(**at, state="complete", metrics={ACCURACY: accuracy}))

    def front(self) -> list[int]:
        return [trial.number for trial in front(self._ledger.history.trials.values(), self._goals, {})]
