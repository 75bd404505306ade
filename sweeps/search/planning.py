"""The search of a sweep file: what its trials would cost, and which of them may be trained at all."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from search_spaces.policies import CostAware, Grid, Resources, SearchConfig
from search_spaces.slot_classes import settled
from search_spaces.space import Point, Space
from search_spaces.sweep_file import Goal, SweepFile
from sweeps.constraints import Constraints, kept, planned
from sweeps.events import TrialState
from sweeps.search.cost_aware import CostAwareChoice, Known
from sweeps.search.points import PointSearch
from sweeps.search.protocol import MayTrain, Record, Search, Suggestion
from sweeps.search.study import StudySearch
from trainables.compute import planned_metrics
from trainables.config import TrialConfig


def search_of(space: Space, file: SweepFile, known: Mapping[int, Known] = MappingProxyType({})) -> Search:
    """A search that suggests no trial whose planned compute breaks a constraint, or that no slot holds.

    Each has as many workers as the class of slots that it is for. `known` are the ledger's trials.
    """
    bounds, resources = planned(file.constraints), file.resources
    limited = any(kind.memory_gb is not None for kind in resources.kinds())

    def may_train(tree: dict[str, Any]) -> bool:
        trial = settled(TrialConfig.model_validate(tree), resources)
        return trial is not None and kept(bounds, planned_compute(trial, file))

    search = search_for(
        space, file.goals, file.search, file.constraints, may_train if bounds or limited else None, known
    )
    return SettledSearch(search, resources) if resources.classes else search


class SettledSearch:
    """A search for slots of several classes: each suggestion has as many workers as its class."""

    def __init__(self, search: Search, resources: Resources) -> None:
        self._search, self._resources = search, resources

    def ask(self, number: int) -> Suggestion | None:
        """What the search suggests, settled."""
        suggestion = self._search.ask(number)
        if suggestion is None:
            return None
        trial = settled(TrialConfig.model_validate(suggestion.config), self._resources)
        assert trial is not None  # `may_train` has seen to it
        return replace(suggestion, config=trial.to_json())

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Passed on."""
        self._search.tell(number, state, metrics)

    def restore(self, records: Iterable[Record]) -> None:
        """Passed on."""
        self._search.restore(records)


def search_for(
    space: Space,
    goals: Mapping[str, Goal],
    config: SearchConfig,
    constraints: Constraints = MappingProxyType({}),
    may_train: MayTrain | None = None,
    known: Mapping[int, Known] = MappingProxyType({}),
) -> Search:
    """The search that a config names; `known` is kept up to date by whoever writes the ledger."""
    match config:
        case Grid():
            return PointSearch(_in_turn(space.enumerate(config.points), may_train))
        case CostAware():
            return PointSearch(CostAwareChoice(space, goals, config, constraints, may_train, known))
        case _:
            return StudySearch(space, goals, config, constraints, may_train)


def planned_compute(config: TrialConfig, file: SweepFile) -> dict[str, float]:
    """What a trial of the sweep costs (`trainables.compute.planned_metrics`)."""
    return planned_metrics(config, file.budget.trials or 1)


def _in_turn(points: Iterable[Point], may_train: MayTrain | None) -> Callable[[int], Point | None]:
    """Those that may be trained, by number; asked for in order, if perhaps not from the first."""
    numbered = enumerate(point for point in points if may_train is None or may_train(point.config))
    return lambda number: next((point for place, point in numbered if place == number), None)
