"""What is charged, and what there is room for, event by event."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from search_spaces.policies import Budget
from sweeps.events import Budgeted, Event, Granted
from sweeps.ledger.history import History
from sweeps.refusals import Refusal
from sweeps.spending import begun, expected_seconds, in_force, larger, seconds_left, used, without_room
from tests.sweeps import stories

COST = "compute/cost_s"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def told(*events: Event | tuple[float, Event]) -> History:
    """A history of these events, each at its hours after noon."""
    history = History()
    for seq, one in enumerate(events, start=1):
        hours, event = one if isinstance(one, tuple) else (0.0, one)
        history.apply(seq, NOON + timedelta(hours=hours), event)
    return history


def rung(trial: int, number: int, verdict: Any, attempt: int = 1) -> Event:
    return stories.reported(trial, number, attempt=attempt).model_copy(update={"verdict": verdict})


CHARGED: list[tuple[list[Event], float]] = [
    ([], 0.25),
    ([stories.started(0)], 0.25),
    ([stories.started(0), rung(0, 0, "continue")], 0.5),
    ([stories.started(0), rung(0, 0, "stop")], 0.25),
    ([stories.started(0), rung(0, 0, "stop"), stories.ended(0, "pruned", step=10)], 0.25),
    ([stories.started(0), rung(0, 0, "continue"), stories.ended(0, "failed")], 0.5),
    ([stories.started(0), *(rung(0, number, "continue") for number in range(4)), stories.ended(0)], 1.0),
    ([Granted(trial=0, attempt=2)], 0.5),
    ([stories.started(0), rung(0, 0, "continue"), Granted(trial=0, attempt=2)], 0.75),
    ([stories.started(0), rung(0, 0, "continue"), stories.started(0, 2), rung(0, 1, "continue", 2)], 0.75),
    ([stories.started(0), *(rung(0, number, "continue") for number in range(4)), Granted(trial=0, attempt=2)], 1.0),
    ([stories.started(0), rung(0, 0, "stop"), Granted(trial=0, attempt=2)], 0.25),
]


@pytest.mark.parametrize(("events", "share"), CHARGED)
def test_a_trial_is_charged_up_to_its_next_rung_and_again_for_each_grant(events: list[Event], share: float) -> None:
    history = told(stories.opened(), stories.planned(0, cost=8.0), *events)
    assert begun(history, COST) == pytest.approx(8.0 * share, rel=1e-12)
    assert begun(history, "compute/train_flops") == pytest.approx(8e9 * share, rel=1e-12)


def test_a_trial_of_an_older_ledger_which_names_no_rungs_is_charged_once() -> None:
    planned = stories.planned(0, cost=8.0).model_copy(update={"rungs": [1.0]})
    history = told(stories.opened(), planned, stories.started(0), rung(0, 0, "continue"), rung(0, 1, "continue"))
    assert begun(history, COST) == 8.0


def test_room_is_what_is_left_when_all_that_is_under_way_has_ended() -> None:
    history = told(stories.opened(), stories.planned(0, cost=8.0), stories.started(0), rung(0, 0, "continue"))
    one = {COST: 2.0, "compute/train_flops": 1.0}
    assert without_room(Budget(cost_s=10.0), history, [history.trials[0]], one, 1.0) is None
    assert without_room(Budget(cost_s=9.9), history, [history.trials[0]], one, 1.0) == "cost_s"
    assert without_room(Budget(cost_s=9.0), history, [history.trials[0]], one, 0.5) is None
    assert without_room(Budget(cost_s=6.0), history, [], one, 1.0) is None, "what nobody trains is not kept back"
    assert without_room(Budget(cost_s=10.0, train_flops=7e9), history, [history.trials[0]], one, 1.0) == "train_flops"
    assert without_room(Budget(trials=1), history, [history.trials[0]], one, 1.0) is None


def test_what_was_stopped_keeps_nothing_back() -> None:
    history = told(stories.opened(), stories.planned(0, cost=8.0), stories.started(0), rung(0, 0, "stop"))
    assert without_room(Budget(cost_s=4.0), history, [history.trials[0]], {COST: 2.0}, 1.0) is None


def sessions() -> History:
    """Three hours in all, the first two on one device, a gap, the third on four; half an hour after noon is now."""
    first, second = stories.opened(1), stories.opened(2).model_copy(update={"devices": 4.0})
    return told((-9, first), (-7, stories.planned(0)), (-0.5, second), (0.25, stories.planned(1)))


def test_time_counts_while_a_driver_holds_the_sweep_and_for_each_device() -> None:
    budget = Budget(wall_hours=10.0, device_hours=20.0, money=100.0, price_per_device_hour=3.0)
    now = NOON + timedelta(hours=0.5)
    assert used(budget, sessions(), now) == {"wall_hours": 3.0, "device_hours": 6.0, "money": 18.0}
    assert used(budget, sessions())["wall_hours"] == 2.75, "without a clock, until it was last heard of"


@pytest.mark.parametrize(
    ("budget", "hours"),
    [
        (Budget(wall_hours=4.0), 1.0),
        (Budget(device_hours=8.0), 0.5),
        (Budget(money=20.0, price_per_device_hour=2.0), 1.0),
        (Budget(wall_hours=4.0, device_hours=7.0), 0.25),
        (Budget(wall_hours=2.0), -1.0),
        (Budget(trials=3), math.inf),
    ],
)
def test_the_first_cap_on_time_is_the_deadline(budget: Budget, hours: float) -> None:
    assert seconds_left(budget, sessions(), NOON + timedelta(hours=0.5)) == pytest.approx(3600 * hours)


def trained(*runs: tuple[float, float]) -> History:
    """Complete trials of so much cost that took so many seconds."""
    history, seq = told(stories.opened()), 1
    for number, (cost, seconds) in enumerate(runs):
        for event, at in ((stories.planned(number, cost), 0.0), (stories.started(number), 0.0)):
            seq += 1
            history.apply(seq, NOON + timedelta(seconds=at), event)
        seq += 1
        history.apply(seq, NOON + timedelta(seconds=seconds), stories.ended(number))
        history.trials[number].fidelity = 1.0
    return history


def test_the_time_of_a_trial_is_a_constant_and_a_rate_and_the_worst_that_was_seen() -> None:
    assert expected_seconds(trained(), 5.0) == 0.0
    assert expected_seconds(trained((1.0, 3.0), (2.0, 5.0), (4.0, 9.0)), 8.0) == pytest.approx(17.0)
    slow = expected_seconds(trained((1.0, 3.0), (2.0, 5.0), (4.0, 9.0), (4.0, 18.0)), 4.0)
    assert slow >= 18.0 - 1e-9, "none that was seen took longer than expected"


def test_the_newest_budget_is_in_force_and_the_rest_of_the_file_stays() -> None:
    file = Budget(trials=10, cost_s=5.0)
    history = told(stories.opened(), Budgeted(fence=1, budget={"cost_s": 7.5}))
    assert in_force(file, history) == Budget(trials=10, cost_s=7.5)
    again = told(
        stories.opened(1),
        Budgeted(fence=1, budget={"cost_s": 7.5}),
        stories.opened(2),
        Budgeted(fence=2, budget={"cost_s": 9.0, "trials": 20}),
    )
    assert in_force(file, again) == Budget(trials=20, cost_s=9.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cots_s": 3.0}, "cots_s"),
        ({"cost_s": -1.0}, "greater than 0"),
        ({"cost_s": math.inf}, "finite"),
        ({"trials": 2.5}, "trials: "),
        ({"money": 3.0}, "money and price_per_device_hour go together"),
        ({"cost_s": 2.0}, "no more than the 2 that it has used. Give more"),
        ({"trials": 1}, "no more than the 1 that it has used. Give more"),
    ],
)
def test_a_budget_that_is_none_or_is_used_up_is_refused(given: dict[str, float], said: str) -> None:
    history = told(stories.opened(), stories.planned(0, cost=8.0))
    with pytest.raises(Refusal, match=said):
        larger(Budget(trials=4), given, history)
    assert larger(Budget(trials=4), {"cost_s": 3.0, "trials": 9}, history) == Budget(trials=9, cost_s=3.0)
