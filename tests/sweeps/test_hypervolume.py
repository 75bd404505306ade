"""What the front has covered, trial by trial."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sweeps.confirmation.membership import Aims
from sweeps.hypervolume import FIRST_TRIALS, progress, reference_point
from sweeps.ledger.history import History
from tests.sweeps import stories

AIMS = Aims(stories.GOALS, {})


def told(*events: Any) -> History:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return History.of((seq, begin + timedelta(seconds=seq), event) for seq, event in enumerate(events, 1))


def trials(*values: tuple[float, float]) -> list[Any]:
    return [event for number, (knn, cost) in enumerate(values) for event in stories.trial_story(number, knn, cost)]


def test_rectangles_between_the_front_and_the_worst_values() -> None:
    history = told(stories.opened(), *trials((0.2, 4.0), (0.5, 1.0), (0.6, 2.0)), stories.closed())
    assert reference_point(history, AIMS) == {"transfer/knn_top1": 0.2, "compute/cost_s": 4.0}
    steps = list(progress(history, AIMS))
    assert [step.hypervolume for step in steps] == pytest.approx([0.0, 0.3 * 3, 0.3 * 3 + 0.1 * 2])
    assert [step.front for step in steps] == [1, 1, 2]
    assert [step.spent_s for step in steps] == [4.0, 5.0, 7.0]


def test_a_value_that_was_told_once_stays_true() -> None:
    values = [(0.3 + 0.01 * number, 2.0 + number % 3) for number in range(FIRST_TRIALS)]
    early = told(stories.opened(), *trials(*values))
    late = told(stories.opened(), *trials(*values, (0.01, 90.0), (0.9, 0.1)), stories.closed())
    assert reference_point(early, AIMS) == reference_point(late, AIMS)
    assert list(progress(late, AIMS))[: len(values)] == list(progress(early, AIMS))


def test_a_sweep_that_was_let_go_of_early_keeps_where_it_measures_from() -> None:
    few = [stories.opened(), *trials((0.2, 4.0), (0.5, 1.0))]
    assert reference_point(told(*few), AIMS) is None
    let_go = [*few, stories.closed()]
    before = reference_point(told(*let_go), AIMS)
    more = [event for number in range(2, 20) for event in stories.trial_story(number, 0.1, 50.0)]
    assert before is not None
    assert reference_point(told(*let_go, stories.opened(2), *more), AIMS) == before


def test_what_was_stopped_or_failed_costs_and_covers_nothing() -> None:
    stopped = [stories.planned(2, 8.0), stories.started(2), stories.reported(2, 0, 0.99), stories.ended(2, "pruned")]
    history = told(stories.opened(), *trials((0.2, 4.0), (0.5, 1.0)), *stopped, stories.closed())
    last = list(progress(history, AIMS))[-1]
    assert (last.ended, last.front) == (3, 1)
    assert last.hypervolume == pytest.approx(0.9)
    assert last.spent_s == 4.0 + 1.0 + 8.0
