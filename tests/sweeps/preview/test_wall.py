"""Time, from timings whose truth is known, and caps on time."""

import heapq
import math
import random
from typing import Any

import pytest

from search_spaces.policies import Budget, Resources
from sweeps.preview.caps import ending, trials_by_cap, trials_in_all
from sweeps.preview.foresight import Foresight, PlannedTrial, foresee
from sweeps.preview.savings import simulate
from sweeps.preview.spans import Span
from sweeps.preview.wall import START_S, Model, Pace, wall_seconds
from tests.sweeps.plain_slot import smoke
from trainables.metrics import BYTES, COST_S, FLOPS
from trainables.timing import Timing

WIDTHS = "trial.student.width={choice: [2, 3, 8]}"


def truth(trial: PlannedTrial) -> Timing:
    """A machine of a known speed."""
    flops, moved = (trial.compute[metric] / trial.config.steps for metric in (FLOPS, BYTES))
    return Timing(begin_s=0.05, step_s=0.002 + flops * 1e-10 + moved * 3e-10, rung_s=0.02, end_s=0.3 + flops * 1e-8)


def seconds(trial: PlannedTrial) -> float:
    timing = truth(trial)
    return timing.begin_s + trial.config.steps * timing.step_s + trial.config.rungs * timing.rung_s + timing.end_s


def foreseen(*overrides: str) -> tuple[Foresight, Any]:
    loaded = smoke(WIDTHS, *overrides)
    foresight = foresee(loaded)
    trials = foresight.known if foresight.all_known else [*foresight.known, *foresight.sample]
    return foresight, simulate(loaded.file, trials)


RANDOM = ("search={name: random}", "stop={name: none}", "budget.trials=50")


def test_a_model_of_timings_knows_the_seconds_of_trials_that_were_not_timed() -> None:
    foresight, _ = foreseen(*RANDOM)
    model = Model.of([(trial.config, truth(trial)) for trial in foresight.known[:12]])
    for trial in foresight.known[12:]:
        assert model.seconds(trial.config, trial.compute, 1.0) == pytest.approx(seconds(trial), rel=1e-6)
    assert model.error < 1e-6


def test_a_stopped_trial_pays_for_its_steps_and_rungs_and_not_for_the_end() -> None:
    foresight, _ = foreseen(*RANDOM)
    model = Model.of([(trial.config, truth(trial)) for trial in foresight.known[:12]])
    trial, timing = foresight.known[0], truth(foresight.known[0])
    half = timing.begin_s + 6 * timing.step_s + timing.rung_s
    assert model.seconds(trial.config, trial.compute, 0.5) == pytest.approx(half)


def test_timings_that_disagree_widen_the_error_and_one_says_nothing() -> None:
    foresight, _ = foreseen(*RANDOM)
    chance = random.Random(0)
    noisy = []
    for trial in foresight.known[:12]:
        factor = chance.uniform(0.5, 1.5)
        noisy.append((trial.config, Timing(**{name: factor * value for name, value in vars(truth(trial)).items()})))
    assert 0.05 < Model.of(noisy).error < 0.5
    assert Model.of(noisy[:1]).error == 0.9


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_the_interval_holds_a_sweep_on_a_machine_of_that_speed(slots: int) -> None:
    foresight, simulation = foreseen(*RANDOM)
    pace = Pace.of(Model.of([(t.config, truth(t)) for t in foresight.known[:12]]), foresight, simulation, slots)
    free = [START_S.likely] * slots
    for trial in foresight.known:
        heapq.heappush(free, heapq.heappop(free) + seconds(trial))
    span = wall_seconds(pace, Span.exactly(50), 50)
    assert span.least < max(free) < span.most
    assert span.least < span.likely < span.most


def test_a_search_that_learns_and_stops_has_a_wider_interval() -> None:
    known, simulation = foreseen(*RANDOM)
    model = Model.of([(trial.config, truth(trial)) for trial in known.known[:12]])
    learns, stopping = foreseen("budget.trials=50")
    exact = wall_seconds(Pace.of(model, known, simulation, 2), Span.exactly(50), 50)
    wide = wall_seconds(Pace.of(model, learns, stopping, 2), Span.exactly(50), len(learns.known))
    assert wide.least < exact.least
    assert wide.most > exact.most


PACE = Pace(known=Span.exactly(10.0), others=Span(8.0, 10.0, 12.0), slots=2, error=0.0)


def caps(budget: dict[str, float], pace: Pace | None = PACE) -> dict[str, Span]:
    foresight, _ = foreseen("budget.trials=1000")
    spent = {COST_S: Span.exactly(1.0), FLOPS: Span.exactly(1.0)}
    given, trials = Budget.model_validate(budget), budget.get("trials", math.inf)
    return trials_by_cap(foresight, given, Resources(), spent, trials, pace)


def test_time_caps_allow_the_trials_that_end_within_them_on_all_slots() -> None:
    found = caps({"trials": 1000, "wall_hours": 1, "device_hours": 1, "money": 1, "price_per_device_hour": 0.25})
    assert found["wall_hours"].likely == (3600 - START_S.likely) * 2 // 10
    assert found["device_hours"].likely == (1800 - START_S.likely) * 2 // 10
    assert found["money"].likely == (7200 - START_S.likely) * 2 // 10
    assert found["wall_hours"].least < found["wall_hours"].likely < found["wall_hours"].most
    assert ending(found) == ["device_hours"]
    assert trials_in_all(found) == found["device_hours"]


def test_the_first_cap_ends_the_sweep_and_one_that_may_is_named_too() -> None:
    found = caps({"trials": 720, "wall_hours": 1})
    assert ending(found) == ["wall_hours", "trials"]
    assert trials_in_all(found).most == 720


def test_where_time_is_not_known_a_cap_on_time_allows_nobody_knows_how_many() -> None:
    found = caps({"wall_hours": 1}, pace=None)
    assert found == {}
    assert trials_in_all(found) == Span.exactly(math.inf)
