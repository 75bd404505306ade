"""Which trials a sweep will run, as far as that can be known before any of them has ended."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from search_spaces.policies import Random
from search_spaces.space import Space
from search_spaces.sweep_file import LoadedSweep, SweepFile
from sweeps.outline import most_trials
from sweeps.search.planning import planned_compute, search_of
from sweeps.search.samplers import known_ahead
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
    parameters: Mapping[str, Any]
    compute: dict[str, float]


@dataclass(frozen=True)
class Foresight:
    """The trials of a sweep.

    `known` are its first ones, whatever happens, and with `all_known` the only ones. Others lie in the space, of which
    `sample` are random trials that keep the constraints on planned compute (those known, if all are), and `least` and
    `most` the ends of each planned metric: over every combination of the ends of ranges, or else the corners, and all
    trials here. `anywhere` are random trials that need not keep them.
    """

    known: list[PlannedTrial]
    all_known: bool
    sample: list[PlannedTrial]
    anywhere: list[PlannedTrial]
    corners: list[PlannedTrial]
    least: dict[str, float]
    most: dict[str, float]


def foresee(loaded: LoadedSweep) -> Foresight:
    """The trials of a sweep. Nothing is trained: for `grid` and `random` all of them are known."""
    file, by_chance = loaded.file, loaded.file.model_copy(update={"search": Random(seed=0)})
    limit = most_trials(loaded)
    count = min(known_ahead(file.search), _ENDLESS if limit is None else limit)
    known = list(_suggested(loaded.space, file, int(count)))
    exhausted = len(known) < count
    all_known = exhausted or (limit is not None and count >= limit)
    sample = known if all_known else list(_suggested(loaded.space, by_chance, _SAMPLE))
    points = itertools.islice(loaded.space.sample(0), _SAMPLE)
    anywhere = [_planned(point.config, file, point.parameters) for point in points]
    corners = [_planned(config, file) for config in loaded.space.corners()]
    ends = [_planned(config, file) for config in _ends(loaded.space)]
    planned = [trial.compute for trial in (*known, *sample, *ends, *corners)]
    least = {metric: min(compute[metric] for compute in planned) for metric in planned[0]}
    most = {metric: max(compute[metric] for compute in planned) for metric in planned[0]}
    return Foresight(known, all_known, sample, anywhere, corners, least, most)


def _suggested(space: Space, file: SweepFile, count: int) -> Iterator[PlannedTrial]:
    """The first trials of a search that is told of no results."""
    search = search_of(space, file)
    for number in range(count):
        suggestion = search.ask(number)
        if suggestion is None:
            return
        yield _planned(suggestion.config, file, suggestion.parameters)


def _planned(
    config: dict[str, Any], file: SweepFile, parameters: Mapping[str, Any] = MappingProxyType({})
) -> PlannedTrial:
    trial = TrialConfig.model_validate(config)
    return PlannedTrial(trial, parameters, planned_compute(trial, file))


def _ends(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of ends and options, where these are not too many: a search may find its way to any of them."""
    if space.size(2) <= _COMBINATIONS:
        yield from (point.config for point in space.enumerate(2))
