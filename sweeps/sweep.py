"""A sweep for notebooks and programs: its tables, and the students that it has trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from sweeps.export.tables import SweepTables
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import DEFAULT, Results

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Trial:
    """One trial: its config, what it reached, and where its files are."""

    record: TrialRecord
    folder: str

    @property
    def config(self) -> dict[str, Any]:
        """The whole config, as plain values."""
        return self.record.config

    @property
    def metrics(self) -> dict[str, float]:
        """Final metrics and planned compute, by name."""
        return self.record.metrics

    def student(self) -> "nn.Module":
        """The trained student, on the CPU, in evaluation mode. Raises `Refusal` if it has none."""
        from sweeps.students import load_student
        from trainables.storage import Storage

        return load_student(self.record, Storage(self.folder))


@dataclass(frozen=True)
class Sweep:
    """What the ledger of a sweep held when it was loaded; load it again to see more."""

    history: History
    tables: SweepTables
    folder: str

    @classmethod
    def load(cls, sweep: str | None = None, storage: Path | str = DEFAULT) -> Self:
        """A sweep by its id, or the newest one in `storage`. Raises `Refusal` if there is none."""
        results = Results(str(storage))
        chosen = results.existing(sweep)
        with Ledger.open(results.ledger(chosen)) as ledger:
            history = History.of(ledger.events())
            return cls(history, SweepTables.of(ledger, history, results), results.folder(chosen))

    @property
    def id(self) -> str:
        """Its id."""
        return self.tables.about.sweep

    @property
    def goals(self) -> dict[str, str]:
        """Metrics, and whether each is to be maximised or minimised."""
        return dict(self.tables.about.goals)

    def trials(self) -> pa.Table:
        """A row for each trial, as `sweeps.export.tables` has it; `to_pandas()` makes a data frame of it.

        Config paths are columns such as ``params.memory.size``, metrics such as ``metrics.transfer/knn_top1``.
        """
        return self.tables.trials

    def front(self) -> pa.Table:
        """The points of the front, cheapest first, with what fresh seeds say of them, where there are any."""
        return self.tables.front.filter(pc.field("on_front"))

    def trial(self, number: int) -> Trial:
        """One trial. Raises `Refusal` if there is no such."""
        if number not in self.history.trials:
            raise Refusal(f"'{self.id}' has no trial {number}; its trials are 0 to {len(self.history.trials) - 1}")
        return Trial(self.history.trials[number], self.folder)
