"""Verdicts at rungs, on hand-made histories."""

from datetime import UTC, datetime

import pytest

from search_spaces.policies import NonDominated, NoStop
from sweeps.events import Reported
from sweeps.ledger.history import History
from sweeps.stopping import judge
from tests.sweeps import stories

RULE = NonDominated(keep=0.5, minimum=3)


def history_of(*points: tuple[float, float]) -> History:
    """Trials that reached rung 0, by (accuracy, full cost)."""
    events = [stories.opened()]
    for number, (accuracy, cost) in enumerate(points):
        events += [stories.planned(number, cost), stories.started(number), stories.reported(number, 0, accuracy)]
    history = History()
    for seq, event in enumerate(events, start=1):
        history.apply(seq, datetime.now(UTC), event)
    return history


def verdict_on(last: tuple[float, float], *before: tuple[float, float], rule: NonDominated | NoStop = RULE) -> str:
    history = history_of(*before, last)
    report: Reported = history.trials[len(before)].reports.pop(0)
    return judge(rule, history, stories.GOALS, report)


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
    report = history.trials[3].reports.pop(0)
    cut_short = report.model_copy(update={"metrics": {**report.metrics, "compute/cost_s": 0.001}})
    assert judge(RULE, history, stories.GOALS, cut_short) == "stop"


def test_the_share_to_keep_decides_in_the_middle() -> None:
    others = [(0.9, 1.0), (0.8, 2.0), (0.7, 3.0)]
    assert verdict_on((0.75, 2.5), *others, rule=NonDominated(keep=0.5, minimum=2)) == "stop"
    assert verdict_on((0.75, 2.5), *others, rule=NonDominated(keep=0.75, minimum=2)) == "continue"


def test_the_last_rung_and_no_rule_stop_nobody() -> None:
    history = history_of((0.9, 1.0), (0.9, 1.0), (0.9, 1.0), (0.1, 9.0))
    report = history.trials[3].reports.pop(0)
    assert judge(RULE, history, stories.GOALS, report) == "stop"
    assert judge(NoStop(), history, stories.GOALS, report) == "continue"
    assert judge(RULE, history, stories.GOALS, report.model_copy(update={"fidelity": 1.0})) == "continue"


@pytest.mark.parametrize("broken", [{}, {"transfer/knn_top1": float("nan")}])
def test_a_missing_value_counts_as_the_worst(broken: dict[str, float]) -> None:
    history = history_of((0.9, 1.0), (0.8, 1.0), (0.7, 1.0), (0.1, 9.0))
    report = history.trials[3].reports.pop(0).model_copy(update={"metrics": broken})
    assert judge(RULE, history, stories.GOALS, report) == "stop"
