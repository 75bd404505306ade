"""The product's own search and stopping in the simulator: its driver, its search, its rules; nothing is trained."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.table import ACCURACY, FIDELITIES, SWEEP_FILE, Table, swept
from search_spaces.nodes import Draw
from search_spaces.space import Space
from search_spaces.sweep_file import load
from sweeps.driver import Driver
from sweeps.events import Ended, Opened, Reported, Started
from sweeps.front import front
from sweeps.ledger.store import Ledger
from sweeps.search.planning import search_of
from sweeps.slots.state import Job
from trainables.outcomes import Verdict


class OnTheTable:
    """A space of which every draw is moved to the closest config of the table."""

    def __init__(self, space: Space, table: Table) -> None:
        self._space, self._table = space, table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)

    def suggest(self, draw: Draw) -> dict[str, Any]:
        config = self._space.suggest(draw)
        width, temperature, memory, negatives, rate = self._table.swept_C5[self._table.nearest(swept(config))].tolist()
        return config | {
            "student": config["student"] | {"width": int(width)},
            "objective": config["objective"] | {"temperature": temperature},
            "memory": config["memory"] | {"size": int(memory)},
            "negatives": config["negatives"] | {"count": int(negatives)},
            "optimizer": config["optimizer"] | {"learning_rate": rate},
        }


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
        space: Any = OnTheTable(loaded.space, table)
        search = search_of(space, loaded.file, self._ledger.history.trials)
        self._driver = Driver(self._ledger, loaded.file, search, slots, self)

    def submit_ahead(self, job: Job) -> None:
        pass

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        self._verdicts[trial, rung] = verdict

    def forget(self, trial: int) -> None:
        pass

    def next_trial(self) -> tuple[int, int] | None:
        job = self._driver.next_trial()
        if job is None:
            return None
        self._driver.take_in(Started(trial=job.trial, attempt=1, slot=0, slot_trials=0, workers=[]))
        return job.trial, self._table.nearest(swept(job.config))

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
