"""Which trials a sweep will run, as far as that can be known before any of them has ended."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from search_spaces.policies import Random, SearchConfig
from search_spaces.space import Space
from search_spaces.sweep_file import LoadedSweep
from sweeps.outline import most_trials
from sweeps.search.samplers import known_ahead
from sweeps.search.study import Search
from trainables.compute import planned_metrics
from trainables.config import TrialConfig

#: Random trials that stand for those of a search that learns.
_SAMPLE = 200
#: Trials of a budget without a number of them that are looked at one by one.
_ENDLESS = 2_000
#: Combinations of the ends of all ranges with all options up to which each is looked at.
_COMBINATIONS = 4_096


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and its full compute by metric name. `parameters` are the picks that led to it."""

    config: TrialConfig
    parameters: dict[str, Any]
    compute: dict[str, float]


@dataclass(frozen=True)
class Foresight:
    """The trials of a sweep.

    `known` are its first ones, whatever happens, and with `all_known` the only ones. Others lie in the space, of which
    `sample` are random trials (those known, if all are), and `least` and `most` the ends of each planned metric: over
    every combination of the ends of ranges, or else the corners, and all trials here.
    """

    known: list[PlannedTrial]
    all_known: bool
    sample: list[PlannedTrial]
    corners: list[PlannedTrial]
    least: dict[str, float]
    most: dict[str, float]


def foresee(loaded: LoadedSweep) -> Foresight:
    """The trials of a sweep. Nothing is trained: for `grid` and `random` all of them are known."""
    file, shares = loaded.file, loaded.file.budget.trials or 1
    limit = most_trials(loaded)
    count = min(known_ahead(file.search), _ENDLESS if limit is None else limit)
    known = list(_suggested(loaded, file.search, int(count), shares))
    exhausted = len(known) < count
    all_known = exhausted or (limit is not None and count >= limit)
    sample = known if all_known else list(_suggested(loaded, Random(seed=0), _SAMPLE, shares))
    corners = list(_planned(loaded.space.corners(), shares))
    planned = [trial.compute for trial in (*known, *sample, *_planned(_ends(loaded.space), shares), *corners)]
    least = {metric: min(compute[metric] for compute in planned) for metric in planned[0]}
    most = {metric: max(compute[metric] for compute in planned) for metric in planned[0]}
    return Foresight(known, all_known, sample, corners, least, most)


def _suggested(loaded: LoadedSweep, config: SearchConfig, count: int, shares: int) -> Iterator[PlannedTrial]:
    """The first trials of a search that is told of no results."""
    search = Search(loaded.space, loaded.file.goals, config)
    for number in range(count):
        suggestion = search.ask(number)
        if suggestion is None:
            return
        trial = TrialConfig.model_validate(suggestion.config)
        yield PlannedTrial(trial, suggestion.parameters, planned_metrics(trial, shares))


def _planned(configs: Iterable[dict[str, Any]], shares: int) -> Iterator[PlannedTrial]:
    for config in configs:
        trial = TrialConfig.model_validate(config)
        yield PlannedTrial(trial, {}, planned_metrics(trial, shares))


def _ends(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of ends and options, where these are not too many: a search may find its way to any of them."""
    if space.size(2) <= _COMBINATIONS:
        yield from (point.config for point in space.enumerate(2))
