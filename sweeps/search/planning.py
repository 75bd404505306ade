"""The search of a sweep file: what its trials would cost, and which of them may be trained at all."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.policies import CostAware, Grid, SearchConfig
from search_spaces.space import Point, Space
from search_spaces.sweep_file import Goal, SweepFile
from sweeps.constraints import Constraints, kept, planned
from sweeps.search.cost_aware import CostAwareChoice, Known
from sweeps.search.points import PointSearch
from sweeps.search.protocol import MayTrain, Search
from sweeps.search.study import StudySearch
from trainables.compute import planned_metrics
from trainables.config import TrialConfig


def search_of(space: Space, file: SweepFile, known: Mapping[int, Known] = MappingProxyType({})) -> Search:
    """A search that suggests no trial whose planned compute breaks a constraint; `known` are the ledger's trials."""
    bounds = planned(file.constraints)

    def may_train(tree: dict[str, Any]) -> bool:
        return kept(bounds, planned_compute(TrialConfig.model_validate(tree), file))

    return search_for(space, file.goals, file.search, file.constraints, may_train if bounds else None, known)


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
