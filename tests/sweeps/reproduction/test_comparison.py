"""Verdicts on values, without a process."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from sweeps.events import Event
from sweeps.ledger.history import History, TrialRecord
from sweeps.reproduction.comparison import Compared, Rules, allowed, compared, judged
from sweeps.reproduction.process import Again
from tests.sweeps import stories
from tests.sweeps.finished import at_times

FINAL = Compared(40, "transfer/knn_top1", 0.5, 0.51, final=True)
RUNG = Compared(10, "train/loss", 3.0, 3.5)
FLOPS = Compared(10, "compute/train_flops", 1e9, 1e9 + 1)

SAME = Rules(same_platform=True, bits_promised=True, tolerance=1.0, deviations={})


def elsewhere(tolerance: float, deviations: Mapping[str, float] = MappingProxyType({})) -> Rules:
    return Rules(same_platform=False, bits_promised=True, tolerance=tolerance, deviations=deviations)


def trial() -> TrialRecord:
    events: list[Event] = [stories.opened(), *stories.trial_story(0, knn=0.5)]
    return History.of(at_times(events)).trials[0]


def again(trial: TrialRecord) -> Again:
    """The same once more, but for the time it took."""
    reports = [
        {"rung": rung, "step": report.step, "metrics": {**report.metrics, "compute/device_seconds": 7.0}}
        for rung, report in trial.reports.items()
    ]
    metrics = {name: value for name, value in trial.metrics.items() if name not in trial.compute}
    outcome = {"state": trial.state, "metrics": metrics, "weights_digest": trial.weights_digest}
    return Again(data_digest=stories.DATA_DIGEST, planned=dict(trial.compute), reports=reports, outcome=outcome)


def test_the_same_values_are_exact_and_time_is_no_value() -> None:
    values = compared(trial(), again(trial()))
    verdict = judged(values, SAME)
    assert (verdict.kind, verdict.differing) == ("exact", [])
    assert verdict.compared == 2 + 4 + 1 + 2 + 1  # planned, rungs, state, final metrics, weights
    assert judged(values, elsewhere(0)).kind == "within tolerance"


def test_what_is_missing_or_new_differs() -> None:
    whole = again(trial())
    short = replace(whole, reports=whole.reports[:-1])
    assert [(each.step, each.again) for each in compared(trial(), short) if not each.same] == [(40, None)]
    more = replace(whole, reports=[*whole.reports, {"rung": 9, "step": 90, "metrics": {"train/loss": 1.0}}])
    assert [(each.step, each.recorded) for each in compared(trial(), more) if not each.same] == [(90, None)]


def test_a_trial_that_fails_this_time_says_how() -> None:
    failed = replace(again(trial()), outcome=None, failure="nan: the loss is not finite")
    values = compared(trial(), failed)
    for rules in (SAME, elsewhere(1.0)):
        verdict = judged(values, rules)
        assert verdict.kind == "failed"
        assert verdict.first is not None
        assert verdict.first.again == "nan: the loss is not finite"


@pytest.mark.parametrize(("one", "other"), [(math.nan, math.nan), (1.0, 1.0)])
def test_bits_that_are_the_same(one: float, other: float) -> None:
    assert Compared(1, "x", one, other).same


@pytest.mark.parametrize(("one", "other"), [(math.nan, 1.0), (1.0, math.nextafter(1, 2)), (1.0, None), (None, 1.0)])
def test_bits_that_are_not(one: float | None, other: float | None) -> None:
    assert not Compared(1, "x", one, other).same


def test_on_another_platform_final_metrics_have_a_bound_and_what_is_counted_has_none() -> None:
    def kind(*values: Compared, tolerance: float = 0.02, deviations: dict[str, float] | None = None) -> str:
        return judged(values, elsewhere(tolerance, deviations or {})).kind

    assert kind(RUNG, FINAL) == "within tolerance"
    assert kind(FINAL, tolerance=0.005) == "failed"
    assert kind(FINAL, tolerance=0.005, deviations={"transfer/knn_top1": 0.004}) == "within tolerance"
    assert kind(FINAL, tolerance=0.005, deviations={"transfer/knn_top1": 0.003}) == "failed"
    assert kind(FLOPS, tolerance=1.0) == "failed"
    assert judged([RUNG, FINAL], SAME).first == RUNG
    assert judged([RUNG, FINAL], elsewhere(0.005)).seeds_decide
    assert not judged([FLOPS, FINAL], elsewhere(0.005)).seeds_decide


def test_a_bound_is_a_share_of_large_values_and_absolute_for_small_ones() -> None:
    assert allowed(Compared(1, "x", 100.0, 0.0), elsewhere(0.02)) == 2.0
    assert allowed(Compared(1, "x", 0.1, 0.0), elsewhere(0.02)) == 0.02
    assert allowed(Compared(1, "x", 0.1, 0.0), elsewhere(0.02, {"x": 0.1})) == pytest.approx(0.3)


def test_a_gpu_promises_no_bits_and_may_give_them() -> None:
    rules = replace(SAME, bits_promised=False, tolerance=0.02)
    assert judged([FINAL], rules).kind == "within tolerance"
    assert judged([replace(FINAL, again=FINAL.recorded)], rules).kind == "exact"
    assert judged([FLOPS], rules).kind == "failed"
