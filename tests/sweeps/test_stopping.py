"""Verdicts at rungs, on hand-made histories."""

from datetime import UTC, datetime

import numpy as np
import pytest

from search_spaces.policies import Asha, NonDominated, NoStop, StopConfig
from sweeps.events import Event, Reported
from sweeps.ledger.history import History
from sweeps.stopping import Judge, crowding_distances, keeps
from tests.sweeps import stories

RULE = NonDominated(keep=0.5, minimum=3)


def history_of(*points: tuple[float, float]) -> History:
    """Trials that reached rung 0, by (accuracy, full cost)."""
    events: list[Event] = [stories.opened()]
    for number, (accuracy, cost) in enumerate(points):
        events += [stories.planned(number, cost), stories.started(number), stories.reported(number, 0, accuracy)]
    history = History()
    for seq, event in enumerate(events, start=1):
        history.apply(seq, datetime.now(UTC), event)
    return history


def verdict_on(last: tuple[float, float], *before: tuple[float, float], rule: StopConfig = RULE) -> str:
    history = history_of(*before, last)
    report: Reported = history.trials[len(before)].reports[0]
    return Judge(rule, history, stories.GOALS)(report)


def test_nobody_is_judged_before_enough_have_come() -> None:
    assert verdict_on((0.1, 9.0), (0.9, 1.0)) == "continue"
    assert verdict_on((0.1, 9.0), (0.9, 1.0), (0.9, 1.0)) == "stop"


def test_a_dominated_trial_is_stopped_and_one_on_the_front_goes_on() -> None:
    others = [(0.5, 1.0), (0.6, 2.0), (0.7, 3.0)]
    assert verdict_on((0.4, 3.0), *others) == "stop"
    assert verdict_on((0.8, 9.0), *others) == "continue", "dearest of all, and best"
    assert verdict_on((0.1, 0.5), *others) == "continue", "worst of all, and cheapest"


def test_a_trial_is_ranked_at_its_full_cost_not_at_what_it_has_spent() -> None:
    history = history_of((0.5, 1.0), (0.6, 2.0), (0.7, 3.0), (0.45, 3.5))
    report = history.trials[3].reports[0]
    cut_short = report.model_copy(update={"metrics": {**report.metrics, "compute/cost_s": 0.001}})
    assert Judge(RULE, history, stories.GOALS)(cut_short) == "stop"


def test_the_share_to_keep_decides_in_the_middle() -> None:
    others = [(0.9, 1.0), (0.8, 2.0), (0.7, 3.0)]
    assert verdict_on((0.75, 2.5), *others, rule=NonDominated(keep=0.5, minimum=2)) == "stop"
    assert verdict_on((0.75, 2.5), *others, rule=NonDominated(keep=0.75, minimum=2)) == "continue"


def test_the_last_rung_and_no_rule_stop_nobody() -> None:
    history = history_of((0.9, 1.0), (0.9, 1.0), (0.9, 1.0), (0.1, 9.0))
    report = history.trials[3].reports[0]
    assert Judge(RULE, history, stories.GOALS)(report) == "stop"
    assert Judge(NoStop(), history, stories.GOALS)(report) == "continue"
    assert Judge(RULE, history, stories.GOALS)(report.model_copy(update={"fidelity": 1.0})) == "continue"


@pytest.mark.parametrize("broken", [{}, {"transfer/knn_top1": float("nan")}])
def test_a_missing_value_counts_as_the_worst(broken: dict[str, float]) -> None:
    history = history_of((0.9, 1.0), (0.8, 1.0), (0.7, 1.0), (0.1, 9.0))
    report = history.trials[3].reports[0].model_copy(update={"metrics": broken})
    assert Judge(RULE, history, stories.GOALS)(report) == "stop"


def test_the_lower_front_goes_first_whoever_dominates_how_many() -> None:
    """Of three fronts of one each, the second is second although only one dominates it."""
    rule = NonDominated(keep=0.5, minimum=2)
    assert keeps(rule, [2, 2], [[1, 1], [3, 3], [4, 4]]) == "continue"
    assert keeps(rule, [3, 3], [[1, 1], [2, 2], [4, 4]]) == "stop"


def test_within_a_front_the_one_with_more_room_goes_first() -> None:
    line = [[0.0, 10.0], [1.0, 9.0], [2.0, 8.0], [6.0, 4.0], [10.0, 0.0]]
    rule = NonDominated(keep=0.6, minimum=2)  # three of five: both ends, and the one with the most room
    kept = [keeps(rule, own, [other for other in line if other is not own]) for own in line]
    assert kept == ["continue", "stop", "stop", "continue", "continue"]


def test_room_is_the_distance_of_the_neighbours_as_a_share_of_the_range() -> None:
    """By hand: (2 - 0) / 10 + (10 - 8) / 10 for the second point, and so on (Deb et al. 2002, section III-B)."""
    line = np.array([[10.0, 0.0], [1.0, 9.0], [0.0, 10.0], [2.0, 8.0], [6.0, 4.0]])
    assert crowding_distances(line).tolist() == pytest.approx([np.inf, 0.4, np.inf, 1.0, 1.6])
    assert crowding_distances(np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]])).tolist() == [np.inf, 1.0, np.inf]
    assert crowding_distances(np.array([[1.0, np.inf], [2.0, 0.0]])).tolist() == [np.inf, np.inf]


def test_asha_looks_at_the_first_goal_alone() -> None:
    rule = Asha(reduction=3)
    others = [(0.9, 9.0), (0.8, 9.0), (0.1, 9.0), (0.2, 9.0), (0.3, 9.0)]
    assert verdict_on((0.85, 99.0), *others, rule=rule) == "continue", "second of six"
    assert verdict_on((0.7, 0.1), *others, rule=rule) == "stop", "third of six, and cheapest"
    assert verdict_on((0.7, 0.1), rule=rule) == "continue", "the first of all"


def test_values_that_are_equal_go_on_together() -> None:
    for rule in (Asha(reduction=3), NonDominated(keep=0.3, minimum=2)):
        assert keeps(rule, [1, 1], [[1, 1]] * 5) == "continue"


def test_a_judge_that_has_seen_a_sweep_grow_says_what_a_new_one_says() -> None:
    history, grown = History(), []
    lasting = Judge(RULE, history, stories.GOALS)
    chance = np.random.default_rng(0)
    for number, at in enumerate(chance.permutation(40)):  # trials do not report in the order of their numbers
        story: list[Event] = [stories.planned(int(at), float(at % 7)), stories.started(int(at))]
        for seq, event in enumerate([stories.opened(), *story] if not number else story, start=history.last_seq + 1):
            history.apply(seq, datetime.now(UTC), event)
        report = stories.reported(int(at), 0, round(chance.random(), 1))
        grown.append(lasting(report))
        assert grown[-1] == Judge(RULE, history, stories.GOALS)(report)
        history.apply(history.last_seq + 1, datetime.now(UTC), report)
    assert set(grown) == {"continue", "stop"}
