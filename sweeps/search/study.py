"""The search of one sweep, by ask and tell. Holds nothing that the ledger does not: `restore` rebuilds it.

The number of a trial in the study is its number in the ledger. Each suggestion is made by a fresh sampler, seeded by
the sweep's seed and the trial's number, from what has been told: so a sweep that runs one trial at a time suggests
after a restart exactly what it would have suggested without (``tpe``, ``cost_aware``, ``random``, ``grid``). NSGA-II
makes no such promise: it keeps its parent populations in the study, where a restored study has none.

Not thread-safe: the driver asks and tells from one thread.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import TrialState as OptunaState

from search_spaces.policies import CostAware, Grid, SearchConfig
from search_spaces.space import Point, Space
from search_spaces.sweep_file import Goal
from sweeps.events import TrialState
from sweeps.search.cost_aware import CostAwareSearch, Known
from sweeps.search.samplers import sampler_for

_STATES = {
    "waiting": OptunaState.RUNNING,
    "running": OptunaState.RUNNING,
    "complete": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
}


@dataclass(frozen=True)
class Suggestion:
    """What to try: the config without defaults, and what the ledger must keep for the study to be rebuilt.

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


class Search:
    """Suggests the trials of a space one after another, and learns from what becomes of them.

    `known` are the trials of the ledger by number, kept up to date by whoever writes it: a cost-aware search looks at
    more of them than an Optuna study could hold.
    """

    def __init__(
        self,
        space: Space,
        goals: Mapping[str, Goal],
        config: SearchConfig,
        known: Mapping[int, Known] = MappingProxyType({}),
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._goals = tuple(goals)
        self._config = config
        self._study = optuna.create_study(directions=list(goals.values()))
        self._grid: Iterator[Point] = space.enumerate(config.points) if isinstance(config, Grid) else iter(())
        self._known = known
        self._cost_aware = CostAwareSearch(space, goals, config) if isinstance(config, CostAware) else None

    @property
    def trials(self) -> int:
        """How many trials have been suggested; the number of the next one."""
        return len(self._study.get_trials(deepcopy=False))

    def ask(self, number: int) -> Suggestion | None:
        """The suggestion for trial `number`, which must be the next; None when a grid has no point left.

        Raises ValueError for any other number.
        """
        if number != self.trials:
            raise ValueError(f"trials are suggested in order: the next is {self.trials}, not {number}")
        sampler = sampler_for(self._config, number)
        if sampler is None:
            point = self._point(number)
            if point is None:
                return None
            self._add(OptunaState.RUNNING, point.parameters, point.distributions, {}, None)
            config = point.config
        else:
            self._study.sampler = sampler
            config = self._space.suggest(self._study.ask())
        return self._suggestion(number, config)

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Trial `number` ended. Only a complete trial has its goals read from `metrics`.

        Raises ValueError for a complete trial without a finite value of every goal: such a trial has failed.
        """
        values = self._values(number, metrics) if state == "complete" else None
        self._study.tell(number, values, state=_STATES[state])

    def restore(self, records: Iterable[Record]) -> None:
        """Take in the trials of a ledger, in any order. Raises ValueError unless they are numbered 0, 1, 2, ..."""
        for record in sorted(records, key=lambda record: record.number):
            if record.number != self.trials:
                raise ValueError(f"a ledger has every trial once: {self.trials} comes next, not {record.number}")
            next(self._grid, None)
            distributions = {name: json_to_distribution(text) for name, text in record.distributions.items()}
            values = self._values(record.number, record.metrics) if record.state == "complete" else None
            state = _STATES[record.state]
            self._add(state, record.parameters, distributions, record.sampler_attributes, values)

    def _point(self, number: int) -> Point | None:
        if self._cost_aware is None:
            return next(self._grid, None)
        known = [self._known[trial] for trial in range(number)]
        return self._cost_aware.choose(known, number)

    def _values(self, number: int, metrics: Mapping[str, float]) -> list[float]:
        values = [metrics.get(goal, math.nan) for goal in self._goals]
        if not all(map(math.isfinite, values)):
            shown = dict(zip(self._goals, values, strict=True))
            raise ValueError(f"trial {number}: a complete trial has a finite value of every goal, this one {shown}")
        return values

    def _add(
        self,
        state: OptunaState,
        parameters: dict[str, Any],
        distributions: dict[str, BaseDistribution],
        attributes: dict[str, Any],
        values: list[float] | None,
    ) -> None:
        self._study.add_trial(
            optuna.trial.create_trial(
                state=state, params=parameters, distributions=distributions, system_attrs=attributes, values=values
            )
        )

    def _suggestion(self, number: int, config: dict[str, Any]) -> Suggestion:
        trial = self._study.get_trials(deepcopy=False)[number]
        distributions = {name: distribution_to_json(of) for name, of in trial.distributions.items()}
        return Suggestion(config, dict(trial.params), distributions, dict(trial.system_attrs))
