"""What people use today, in the simulator: Optuna by itself, Ray's OptunaSearch with ASHA, Syne Tune's MOASHA.

The libraries' own samplers and schedulers, with their defaults, asked and told as their loops do; all draw from the
space of `benchmarks/digits_table.yaml`. Syne Tune is no dependency: ``pip install --no-deps syne-tune==0.16.0 dill``.
"""

import warnings
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from benchmarks.our_search import OnTheTable
from benchmarks.table import FIDELITIES, SWEEP_FILE, Table
from search_spaces.nodes import Choice, Leaf, Range
from search_spaces.sweep_file import load

ITERATIONS = [round(8 * fidelity) for fidelity in FIDELITIES]  # at which a trial reports: 1, 2, 4 and 8


class Told:
    """What every rival does alike: number its trials, and know what each trains and costs."""

    def __init__(self, table: Table) -> None:
        self.table, self.configs = table, list[int]()

    def begun(self, config: int) -> tuple[int, int]:
        self.configs.append(config)
        return len(self.configs) - 1, config

    def cost(self, trial: int, fidelity: float = 1.0) -> float:
        return float(fidelity * self.table.cost_C[self.configs[trial]])


class Optuna(Told):
    """A study of two goals with one of Optuna's samplers, and no stopping, which it does not offer for two goals."""

    def __init__(self, table: Table, sampler: BaseSampler) -> None:
        super().__init__(table)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        self.space = OnTheTable.of(load(SWEEP_FILE).file)
        self.asked: list[optuna.Trial] = []

    def next_trial(self) -> tuple[int, int] | None:
        self.asked.append(self.study.ask())
        return self.begun(self.table.place(self.space.suggest(self.asked[-1])))

    def reached(self, trial: int, rung: int, accuracy: float) -> bool:  # noqa: ARG002
        return True

    def ended(self, trial: int, accuracy: float) -> None:
        self.study.tell(self.asked[trial], [accuracy, self.cost(trial)])

    def front(self) -> list[int]:
        return [best.number for best in self.study.best_trials]


class RayTune(Told):
    """`OptunaSearch` over accuracy and cost so far with an `ASHAScheduler` on accuracy, as Ray's pages combine them."""

    def __init__(self, table: Table, seed: int) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        super().__init__(table)
        self.space = OnTheTable.of(load(SWEEP_FILE).file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.search = OptunaSearch(self._define, metric=["accuracy", "cost"], mode=["max", "min"], seed=seed)
        self.scheduler = ASHAScheduler(metric="accuracy", mode="max", max_t=8)
        self.last: dict[int, dict[str, float]] = {}

    def _define(self, trial: optuna.Trial) -> None:
        self._drawn = self.table.place(self.space.suggest(trial))

    def next_trial(self) -> tuple[int, int] | None:
        self.search.suggest(str(len(self.configs)))
        number, config = self.begun(self._drawn)
        self.scheduler.on_trial_add(None, self._trial(number))  # type: ignore[arg-type]
        return number, config

    def reached(self, trial: int, rung: int, accuracy: float) -> bool:
        result = {"training_iteration": ITERATIONS[rung], "accuracy": accuracy}
        self.last[trial] = result | {"cost": self.cost(trial, FIDELITIES[rung])}
        goes_on: bool = self.scheduler.on_trial_result(None, self._trial(trial), result) == "CONTINUE"  # type: ignore[arg-type]
        if not goes_on:
            self.search.on_trial_complete(str(trial), self.last[trial])
        return goes_on

    def ended(self, trial: int, accuracy: float) -> None:
        result = {"training_iteration": 8, "accuracy": accuracy, "cost": self.cost(trial)}
        self.scheduler.on_trial_complete(None, self._trial(trial), result)  # type: ignore[arg-type]
        self.search.on_trial_complete(str(trial), result)

    def front(self) -> list[int]:
        study: Any = self.search._ot_study  # made at the first suggestion, of which mypy knows nothing
        return [best.number for best in study.best_trials]

    def _trial(self, number: int) -> Any:
        return SimpleNamespace(trial_id=str(number))


class Given:
    """A draw whose picks another has made."""

    def __init__(self, picks: Mapping[str, Any]) -> None:
        self._picks = picks

    def suggest_float(self, name: str, *_: Any, **__: Any) -> float:
        return float(self._picks[name])

    def suggest_int(self, name: str, *_: Any, **__: Any) -> int:
        return int(self._picks[name])

    def suggest_categorical(self, name: str, _: Sequence[Any]) -> Any:
        return self._picks[name]


def domain(leaf: Leaf) -> Any:
    """What Syne Tune draws a parameter from."""
    from syne_tune import config_space

    low, high = leaf.ends[0], leaf.ends[-1]
    match leaf:
        case Choice():
            return config_space.choice(list(leaf.ends))
        case Range(at_most=()):
            return (config_space.lograndint if leaf.kind == "int" else config_space.loguniform)(low, high)
    return config_space.uniform(low, high)


class SyneTune(Told):
    """`MOASHA`: random trials, of which the best third by non-dominated sorting goes on at each rung."""

    def __init__(self, table: Table, seed: int) -> None:
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

        super().__init__(table)
        self.space = OnTheTable.of(load(SWEEP_FILE).file)
        np.random.seed(seed)  # what its domains draw from
        space = {leaf.name: domain(leaf) for leaf in self.space.leaves}
        self.scheduler = MOASHA(
            space, ["error", "cost"], time_attr="iteration", max_t=8, reduction_factor=3, random_seed=seed
        )
        self.complete: list[int] = []

    def next_trial(self) -> tuple[int, int] | None:
        drawn = self.scheduler.suggest().config
        number, config = self.begun(self.table.place(self.space.suggest(Given(drawn))))
        self.scheduler.on_trial_add(self._trial(number))
        return number, config

    def reached(self, trial: int, rung: int, accuracy: float) -> bool:
        answer = self.scheduler.on_trial_result(self._trial(trial), self._result(trial, rung, accuracy))
        goes_on: bool = answer == "CONTINUE"
        return goes_on

    def ended(self, trial: int, accuracy: float) -> None:
        self.scheduler.on_trial_complete(self._trial(trial), self._result(trial, len(FIDELITIES) - 1, accuracy))
        self.complete.append(trial)

    def front(self) -> list[int]:
        return []  # it shows none of its own

    def _result(self, trial: int, rung: int, accuracy: float) -> dict[str, float]:
        cost = self.cost(trial, FIDELITIES[rung])
        return {"iteration": ITERATIONS[rung], "error": 1 - accuracy, "cost": cost}

    def _trial(self, number: int) -> Any:
        return SimpleNamespace(trial_id=number)
