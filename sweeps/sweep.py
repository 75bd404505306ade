"""A sweep for notebooks and programs: its trials as tables, and the students that it has trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from sweeps.constraints import constraints_of
from sweeps.front import front
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.tables import flat

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

    id: str
    file: dict[str, Any]
    history: History
    folder: str

    @classmethod
    def load(cls, sweep: str | None = None, storage: Path | str = "results") -> Self:
        """A sweep by its id, or the newest one in `storage`. Raises `Refusal` if there is none."""
        results = Results(str(storage))
        chosen = results.existing(sweep)
        with Ledger.open(results.ledger(chosen)) as ledger:
            return cls(chosen, ledger.spec["file"], History.of(ledger.events()), results.folder(chosen))

    @property
    def goals(self) -> dict[str, str]:
        """Metrics, and whether each is to be maximised or minimised."""
        return dict(self.file["goals"])

    def trials(self) -> pa.Table:
        """A row for each trial: state, config (dotted names) and metrics; `to_pandas()` makes a data frame of it."""
        return _table(list(self.history.trials.values()))

    def front(self) -> pa.Table:
        """The trials of the front, cheapest first, as in `trials`."""
        return _table(front(self.history.trials.values(), self.file["goals"], constraints_of(self.file)))

    def trial(self, number: int) -> Trial:
        """One trial. Raises `Refusal` if there is no such."""
        if number not in self.history.trials:
            raise Refusal(f"'{self.id}' has no trial {number}; its trials are 0 to {len(self.history.trials) - 1}")
        return Trial(self.history.trials[number], self.folder)


def _table(trials: list[TrialRecord]) -> pa.Table:
    """A column for each config path and metric of any trial; null where a trial has none."""
    rows = [
        {"trial": each.number, "state": each.state, "fidelity": each.fidelity, **flat(each.config), **each.metrics}
        for each in trials
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """Of one type if the values are; else as text, since a choice may offer a number here and a word there."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
