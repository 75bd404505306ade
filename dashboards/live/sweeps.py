"""The sweeps that the live page shows: those of a storage folder, and those that only MLflow has."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from dashboards.frames import swept_first
from sweeps.export.files import stored
from sweeps.export.tables import METRICS, PARAMS, SweepTables
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.tracking.browsing import Browsing
from trainables.metrics import on_test

#: Making tables again takes at most this share of the time, however often somebody looks.
_SHARE_OF_TIME = 0.2


@dataclass
class _Known:
    """A sweep as it was last read."""

    tables: SweepTables | None = None
    history: History = field(default_factory=History)
    not_before: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class StorageSweeps:
    """Sweeps of a storage folder, read from their ledgers; of each, what was read before is kept and added to."""

    def __init__(self, storage: Results, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._known: dict[str, _Known] = {}

    def ids(self) -> list[str]:
        """Ids, the one last written to first."""
        return self._storage.sweeps()

    def tables(self, sweep: str) -> SweepTables:
        """A sweep as it is now, or was a moment ago. Raises `Refusal` and the ledger's errors."""
        with Ledger.open(self._storage.ledger(self._storage.existing(sweep))) as ledger:
            known = self._known.setdefault(ledger.uid, _Known())
            with known.lock:  # of several readers one reads
                if known.tables is None and (kept := self._kept(sweep, ledger.uid)):
                    known.tables = kept  # at once; what has happened since is for the next to ask
                elif known.tables is None or (_moved(ledger, known.tables) and self._clock() >= known.not_before):
                    self._read(ledger, known)
                assert known.tables is not None
                return known.tables

    def _kept(self, sweep: str, uid: str) -> SweepTables | None:
        if not self._storage.is_local or (kept := stored(self._storage.path / sweep, uid)) is None:
            return None
        # they say how the storage was called when they were made; whoever reads this page calls it as it is now
        return replace(kept, about=kept.about.model_copy(update={"storage_flag": self._storage.shareable_flag}))

    def _read(self, ledger: Ledger, known: _Known) -> None:
        began = self._clock()
        for seq, at, event in ledger.events(after=known.history.last_seq):
            known.history.apply(seq, at, event)
        known.tables = SweepTables.of(ledger, known.history, self._storage)
        ended = self._clock()
        known.not_before = ended + (ended - began) / _SHARE_OF_TIME


def _moved(ledger: Ledger, tables: SweepTables) -> bool:
    """Whether the ledger says more than the tables, or its driver came or went."""
    if ledger.count(after=tables.about.seq):
        return True
    return tables.about.state != "done" and (tables.about.state == "running") != ledger.driven()


class MlflowSweeps:
    """Sweeps that MLflow has and the storage folder has not, from the tables that their runs keep.

    MLflow takes seconds to be loaded, so nothing is asked of it before somebody asks for it.
    """

    def __init__(self, browsing: Callable[[], Browsing]) -> None:
        self._make, self._made = browsing, threading.Lock()
        self._browsing: Browsing | None = None
        self._tables: dict[tuple[str, int], SweepTables] = {}

    def known(self) -> Browsing:
        """MLflow itself. Raises `Refusal` where it cannot be reached."""
        with self._made:
            try:
                self._browsing = self._browsing or self._make()
            except Exception as error:  # whatever MLflow raises
                raise Refusal(
                    f"MLflow must answer, and does not ({type(error).__name__}). Start it, or look at it"
                ) from error
            return self._browsing

    def tables(self, sweep: str) -> SweepTables:
        """A sweep as its run in MLflow last kept it. Raises `Refusal` if it keeps none."""
        try:
            return self.known().tables(sweep)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise Refusal(
                f"a sweep's run in MLflow keeps its tables, and that of '{sweep}' does not. Where its ledger is: "
                f"python -m sweeps sync {sweep}"
            ) from error


def described(tables: SweepTables) -> dict[str, Any]:
    """A sweep as JSON values for the page: columns, so that thousands of trials are few bytes."""
    about, names = tables.about, tables.trials.column_names
    metrics = [
        *about.goals,
        *map(on_test, about.goals),
        *(each.removeprefix(METRICS) for each in names if each.startswith(METRICS)),
    ]
    metrics = [name for name in dict.fromkeys(metrics) if METRICS + name in names]
    params = [path for path in swept_first(about.varying) if PARAMS + path in names]
    plain = ("trial", "state", "on_front", "fidelity", "failure", "message", "attempts")
    columns = {name: _values(tables.trials[name]) for name in plain}
    return {
        "about": about.model_dump(exclude={"source", "environment"}),
        "metrics": {name: _values(tables.trials[METRICS + name]) for name in metrics},
        "params": {path: _values(tables.trials[PARAMS + path]) for path in params},
        "trials": columns,
        "confirmed": _confirmed(tables),
    }


def _confirmed(tables: SweepTables) -> dict[str, float]:
    front = zip(tables.front["trial"].to_pylist(), tables.front["front_probability"].to_pylist(), strict=True)
    return {str(trial): chance for trial, chance in front if chance is not None}


def _values(column: pa.ChunkedArray) -> list[Any]:
    """As JSON has them: no NaN, and of numbers no more digits than a page shows."""
    values = column.to_pylist()
    if not pa.types.is_floating(column.type):
        return list(values)
    return [
        None if value is None or value != value or abs(value) == float("inf") else float(f"{value:.6g}")
        for value in values
    ]
