"""Which point is trained next, and with which seed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from sweeps.confirmation.replication import Replication, fresh_seed
from sweeps.events import TrialState
from sweeps.search.protocol import Suggestion
from tests.sweeps.confirmation.points import ACCURACY, AIMS, COST, confirms

#: Two rivals, one sure point, a neighbour within the noise and one far off.
POINTS = (
    (7, True, 0.50, 1.0),
    (3, True, 0.60, 2.0),
    (5, True, 0.61, 2.1),
    (2, False, 0.595, 2.2),
    (9, False, 0.30, 3.0),
)
MEANS = {7: 0.50, 3: 0.600, 5: 0.602, 2: 0.59, 9: 0.3}
COSTS = {number: cost for number, _, _, cost in POINTS}


@dataclass
class Trial:
    number: int
    state: TrialState
    parameters: dict[str, Any]
    metrics: dict[str, float]
    distributions: dict[str, str] = field(default_factory=dict)
    sampler_attributes: dict[str, Any] = field(default_factory=dict)


def outcome(suggestion: Suggestion) -> dict[str, float]:
    """Depends on the seed as training would."""
    trial = suggestion.parameters["trial"]
    noise = 0.01 * np.random.default_rng(suggestion.config["seed"]).standard_normal()
    return {ACCURACY: MEANS[trial] + noise, COST: COSTS[trial]}


def serial(search: Replication, ledger: list[Trial], most: int) -> None:
    while len(ledger) < most and (suggestion := search.ask(len(ledger))) is not None:
        metrics = outcome(suggestion)
        search.tell(len(ledger), "complete", metrics)
        ledger.append(
            Trial(len(ledger), "complete", {**suggestion.parameters, "seed": suggestion.config["seed"]}, metrics)
        )


def asked(ledger: list[Trial]) -> Counter[int]:
    return Counter(trial.parameters["trial"] for trial in ledger)


def test_every_point_in_doubt_has_two_seeds_and_the_rivals_most() -> None:
    ledger: list[Trial] = []
    serial(Replication(confirms(*POINTS), AIMS), ledger, 1000)
    seeds = asked(ledger)
    assert [trial.parameters["trial"] for trial in ledger[:6]] == [7, 3, 5, 7, 3, 5], "the front first"
    assert seeds[9] == 0, "noise cannot have kept it off the front"
    assert min(seeds[number] for number in (7, 3, 5, 2)) >= 2
    assert seeds[3] + seeds[5] > seeds[7] + seeds[2] + 4
    assert len(ledger) <= 5 * 4


def test_nothing_is_asked_once_all_is_settled() -> None:
    ledger: list[Trial] = []
    points = confirms((0, True, 0.2, 1.0), (1, True, 0.5, 2.0), (2, True, 0.8, 3.0), seeds=1000)
    search = Replication(points, AIMS)
    MEANS.update({0: 0.2, 1: 0.5, 2: 0.8})
    COSTS.update({0: 1.0, 1: 2.0, 2: 3.0})
    serial(search, ledger, 100)
    assert len(ledger) < 15
    assert search.ask(len(ledger)) is None


@pytest.mark.parametrize("cut", [1, 5, 9, 15])
def test_a_confirmation_that_was_killed_goes_on_as_if_it_had_not_been(cut: int) -> None:
    whole: list[Trial] = []
    serial(Replication(confirms(*POINTS), AIMS), whole, 1000)
    assert len(whole) > 15
    resumed: list[Trial] = []
    serial(Replication(confirms(*POINTS), AIMS), resumed, cut)
    search = Replication(confirms(*POINTS), AIMS)
    search.restore(reversed(resumed))
    serial(search, resumed, 1000)
    assert resumed == whole
    assert len({(trial.parameters["trial"], trial.parameters["seed"]) for trial in whole}) == len(whole)


def test_a_trial_under_way_counts_as_asked_and_can_be_told_after_a_restart() -> None:
    search = Replication(confirms(*POINTS), AIMS)
    suggestions = [search.ask(number) for number in range(3)]
    records = [
        Trial(number, "running", one.parameters, {}) for number, one in enumerate(suggestions) if one is not None
    ]
    restored = Replication(confirms(*POINTS), AIMS)
    restored.restore(records)
    fourth = restored.ask(3)
    assert fourth == search.ask(3)
    assert fourth is not None
    assert fourth.parameters == {"point": 0, "trial": 7, "replicate": 1}
    restored.tell(1, "complete", {ACCURACY: 0.6, COST: 2.0})


def test_a_point_whose_seeds_all_fail_does_not_hold_up_the_others() -> None:
    search, number, counts = Replication(confirms(*POINTS), AIMS), 0, Counter[int]()
    while (suggestion := search.ask(number)) is not None:
        failed = suggestion.parameters["trial"] == 7
        search.tell(number, "failed" if failed else "complete", outcome(suggestion))
        counts[suggestion.parameters["trial"]] += 1
        number += 1
    assert counts[7] == 2
    assert counts[3] > 2


def test_where_every_seed_fails_the_confirmation_ends() -> None:
    search = Replication(confirms(*POINTS), AIMS)
    for number in range(10):
        assert search.ask(number) is not None
        search.tell(number, "failed", {})
    assert search.ask(10) is None


def test_with_a_slot_for_every_seed_none_is_left_out_and_nothing_is_settled_early() -> None:
    search = Replication(confirms(*POINTS), AIMS)
    suggestions = [search.ask(number) for number in range(24)]
    counts = Counter(one.parameters["trial"] for one in suggestions if one is not None)
    assert sorted(counts.values()) == [4, 5, 5, 5, 5]
    few = Replication(confirms((0, True, 0.2, 1.0), (1, True, 0.5, 2.0)), AIMS)
    for number in range(4):
        few.ask(number)
    for number in (0, 2):
        few.tell(number, "complete", {ACCURACY: 0.2 + 0.01 * number, COST: 1.0})
    assert few.ask(4) is not None, "the second point has not been heard of"
    for number in (1, 3):
        few.tell(number, "complete", {ACCURACY: 0.5 + 0.01 * number, COST: 2.0})
    few.tell(4, "failed", {})
    assert few.ask(5) is None


def test_seeds_are_fresh() -> None:
    seeds = {fresh_seed("swept", trial, replicate, frozenset()) for trial in range(30) for replicate in range(30)}
    assert len(seeds) == 900
    first = fresh_seed("swept", 0, 0, frozenset())
    assert fresh_seed("swept", 0, 0, frozenset({first, first + 1})) == first + 2
    search = Replication({**confirms(*POINTS), "used_seeds": [fresh_seed("swept", 7, 0, frozenset())]}, AIMS)
    suggestion = search.ask(0)
    assert suggestion is not None
    assert suggestion.config == {"seed": fresh_seed("swept", 7, 0, frozenset()) + 1, "steps": 7}


def test_trials_are_asked_for_and_restored_in_order() -> None:
    search = Replication(confirms(*POINTS), AIMS)
    with pytest.raises(ValueError, match="the next is 0, not 1"):
        search.ask(1)
    with pytest.raises(ValueError, match="every trial once"):
        search.restore([Trial(1, "failed", {"point": 0}, {})])
