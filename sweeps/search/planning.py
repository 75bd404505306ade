"""The search of a sweep file: what its trials would cost, and which of them may be trained at all."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.space import Space
from search_spaces.sweep_file import SweepFile
from sweeps.constraints import kept, planned
from sweeps.ledger.history import TrialRecord
from sweeps.search.study import Search
from trainables.compute import planned_metrics
from trainables.config import TrialConfig


def search_of(space: Space, file: SweepFile, known: Mapping[int, TrialRecord] = MappingProxyType({})) -> Search:
    """A search that suggests no trial whose planned compute breaks a constraint; `known` are the ledger's trials."""
    bounds = planned(file.constraints)

    def may_train(tree: dict[str, Any]) -> bool:
        return kept(bounds, planned_compute(TrialConfig.model_validate(tree), file))

    return Search(space, file.goals, file.search, file.constraints, may_train if bounds else None, known)


def planned_compute(config: TrialConfig, file: SweepFile) -> dict[str, float]:
    """What a trial of the sweep costs (`trainables.compute.planned_metrics`)."""
    return planned_metrics(config, file.budget.trials or 1)
