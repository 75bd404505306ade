"""Search by a sampler of Optuna, in a study that is rebuilt from the ledger.

Each suggestion is made by a fresh sampler, seeded by the sweep's seed and the trial's number, from what has been told:
so a sweep that runs one trial at a time suggests after a restart exactly what it would have suggested without (``tpe``,
``random``). NSGA-II makes no such promise: it keeps its parent populations in the study, where a restored one has none.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from search_spaces.policies import Tpe
from search_spaces.space import Space
from search_spaces.sweep_file import Goal
from sweeps.constraints import Constraints, excesses
from sweeps.events import TrialState
from sweeps.search.protocol import MayTrain, Record, Suggestion, check_next, in_order
from sweeps.search.samplers import SamplerConfig, sampler_for, trial_seed
from sweeps.search.told import MOST, ToldStorage, newest

#: Draws for one trial of which none may be trained, before the search gives up.
DRAWS = 200

_STATES = {
    "waiting": OptunaState.RUNNING,
    "running": OptunaState.RUNNING,
    "complete": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
}


class StudySearch:
    """Suggests what a sampler draws, and tells it what becomes of that.

    `constraints` are told to the sampler with the values of each complete trial. A config that `may_train` refuses is
    drawn again, by a sampler of another seed.
    """

    def __init__(
        self,
        space: Space,
        goals: Mapping[str, Goal],
        config: SamplerConfig,
        constraints: Constraints = MappingProxyType({}),
        may_train: MayTrain | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._config, self._constraints, self._may_train = space, config, constraints, may_train
        self._goals = tuple(goals)
        self._storage = ToldStorage()
        self._study = optuna.create_study(directions=list(goals.values()), storage=self._storage)

    def ask(self, number: int) -> Suggestion | None:
        """What is drawn for trial `number`; None when of `DRAWS` draws none may be trained."""
        check_next(number, len(self._trials()))
        if self._may_train is not None:
            config = self._drawn_until(self._may_train, number)
        else:
            self._study.sampler = sampler_for(self._config, number)
            with self._storage.showing(self._told()):
                config = self._space.suggest(self._study.ask())
        if config is None:
            return None
        drawn = self._trials()[number]
        distributions = {name: distribution_to_json(of) for name, of in drawn.distributions.items()}
        return Suggestion(config, dict(drawn.params), distributions, dict(drawn.system_attrs))

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Trial `number` ended. Only a complete trial has its goals and constraints read from `metrics`.

        Raises ValueError for a complete trial without a finite value of every goal: such a trial has failed.
        """
        values, broken = self._outcome(number, state, metrics)
        if broken:
            trial = optuna.trial.Trial(self._study, self._trials()[number]._trial_id)  # the public way to tell these
            for metric, excess in broken.items():
                trial.set_constraint(metric, excess)
        self._study.tell(number, values, state=_STATES[state])

    def restore(self, records: Iterable[Record]) -> None:
        """Take in the trials of a ledger."""
        for record in in_order(records):
            values, broken = self._outcome(record.number, record.state, record.metrics)
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=_STATES[record.state],
                    params=record.parameters,
                    distributions={name: json_to_distribution(text) for name, text in record.distributions.items()},
                    system_attrs=dict(record.sampler_attributes),  # Optuna adds the constraints to it
                    values=values,
                    constraints=broken,
                )
            )

    def _drawn_until(self, may_train: MayTrain, number: int) -> dict[str, Any] | None:
        """The first of several draws that may be trained, added as trial `number`.

        Drawn in a copy of the study: Optuna deletes no trial, and numbers are those of the ledger.
        """
        draws = optuna.create_study(directions=self._study.directions)
        draws.add_trials(self._told())
        for draw in range(DRAWS):
            seed = trial_seed(self._config.seed, -draw) if draw else self._config.seed
            draws.sampler = sampler_for(self._config.model_copy(update={"seed": seed}), number)
            asked = draws.ask()
            config = self._space.suggest(asked)
            if may_train(config):
                self._study.add_trial(draws.get_trials(deepcopy=False)[asked.number])
                return config
            draws.tell(asked, state=OptunaState.FAIL)  # which no sampler looks at
        return None

    def _outcome(
        self, number: int, state: TrialState, metrics: Mapping[str, float]
    ) -> tuple[list[float] | None, dict[str, float]]:
        """The goals of a complete trial, and by how much it breaks each constraint."""
        if state != "complete":
            return None, {}
        values = [metrics.get(goal, math.nan) for goal in self._goals]
        if not all(map(math.isfinite, values)):
            shown = dict(zip(self._goals, values, strict=True))
            raise ValueError(f"trial {number}: a complete trial has a finite value of every goal, this one {shown}")
        return values, excesses(self._constraints, metrics)

    def _told(self) -> list[FrozenTrial]:
        """The trials that the sampler is told of (`sweeps.search.told`)."""
        if isinstance(self._config, Tpe):
            return newest(self._trials(), max(MOST, self._config.startup_trials))
        return self._trials()

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)
