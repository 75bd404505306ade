"""What a driver asks of a search, whichever it is: of Optuna, of a grid, of a model of ours, of fresh seeds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sweeps.events import TrialState

#: Whether a config keeps the constraints that are known before it is trained.
MayTrain = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Suggestion:
    """What to try: the config without defaults, and what the ledger must keep for the search to be rebuilt.

    `parameters` are the picks by parameter name (`search_spaces.space`), `distributions` Optuna's JSON of the range of
    each, `sampler_attributes` what the sampler left on the trial; all of them plain JSON values.
    """

    config: dict[str, Any]
    parameters: dict[str, Any]
    distributions: dict[str, str]
    sampler_attributes: dict[str, Any]


class Record(Protocol):
    """What a search needs to know of a trial: `sweeps.ledger.history.TrialRecord` is one."""

    number: int
    state: TrialState
    parameters: dict[str, Any]
    distributions: dict[str, str]
    sampler_attributes: dict[str, Any]
    metrics: dict[str, float]


class Search(Protocol):
    """Suggests trials one after another. Holds nothing that the ledger does not: `restore` rebuilds it.

    The number of a trial is its number in the ledger. Not thread-safe: the driver asks and tells from one thread.
    """

    def restore(self, records: Iterable[Record]) -> None:
        """Take in the trials of a ledger, in any order. Raises ValueError unless they are numbered 0, 1, 2, ..."""

    def ask(self, number: int) -> Suggestion | None:
        """The suggestion for trial `number`, which must be the next; None when there is nothing left to try.

        Raises ValueError for any other number.
        """

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Trial `number` ended."""


def in_order(records: Iterable[Record]) -> list[Record]:
    """By their numbers. Raises ValueError unless these are 0, 1, 2, ..."""
    ordered = sorted(records, key=lambda record: record.number)
    for place, record in enumerate(ordered):
        if record.number != place:
            raise ValueError(f"a ledger has every trial once: {place} comes next, not {record.number}")
    return ordered


def check_next(number: int, following: int) -> None:
    """Raise ValueError unless `number` is the `following` one."""
    if number != following:
        raise ValueError(f"trials are suggested in order: the next is {following}, not {number}")
