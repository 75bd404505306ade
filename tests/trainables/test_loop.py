"""A trial is a function of its config: whatever ran before it, and however often it was killed."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainables.trials import (
    RUNGS,
    STEPS,
    Killed,
    Listener,
    WatchedTask,
    combination_id,
    each_member_once,
    images_of,
    shown_to,
    small_trial,
    teacher_of,
    timeless,
    train,
)
from trainables.compute import planned_metrics
from trainables.config import TrialConfig, goal_metrics
from trainables.evidence import ImageSplit
from trainables.loop import TEACHERS, run_trial
from trainables.measure import Measurements
from trainables.memory.in_batch import InBatch
from trainables.metrics import (
    BYTES,
    COST_S,
    FLOPS,
    PLANNED_METRICS,
    SYSTEM_PREFIX,
    TEST_PREFIX,
    TRAIN_LOSS,
    gain_metric,
    on_test,
)
from trainables.models.adapter import Adapter
from trainables.negatives.retrieval import Retrieval
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.optimizer import Optimizer
from trainables.outcomes import RungReport, TrialFailure
from trainables.policies.anneal import Anneal
from trainables.policies.constant import Constant
from trainables.policies.mi_guided import MIGuided
from trainables.step import TrainingStep
from trainables.storage import Storage
from trainables.tasks.digits import Digits
from trainables.teacher_cache import TeacherCache
from trainables.world import SingleWorld

each_member = pytest.mark.parametrize("config", each_member_once(), ids=combination_id)


def test_a_trial_is_the_same_as_the_first_and_as_the_fourth_of_a_process(tmp_path: Path) -> None:
    config = small_trial()
    others = [small_trial(seed=4), small_trial(objective=CRD(temperature=0.1), memory=InBatch())]
    outcomes = [train(each, tmp_path / str(i)) for i, each in enumerate([config, *others, config])]
    assert outcomes[0].weights_digest == outcomes[3].weights_digest
    assert timeless(outcomes[0].metrics) == timeless(outcomes[3].metrics)
    assert len({outcome.weights_digest for outcome in outcomes}) == 3


@pytest.mark.parametrize("views", [None, 3])
def test_threads_that_read_ahead_change_nothing(
    views: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_trial(objective=InfoNCE(temperature=0.1), views=views)
    alone = train(config, tmp_path / "alone")
    monkeypatch.setattr(Digits, "readers", 3)
    ahead = train(config, tmp_path / "ahead")
    assert ahead.weights_digest == alone.weights_digest
    assert timeless(ahead.metrics) == timeless(alone.metrics)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_a_trial_leaves_the_processs_random_numbers_and_settings_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(small_trial(), tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.is_grad_enabled()


def test_under_a_constant_rate_a_rung_is_what_a_shorter_trial_would_have_ended_with(tmp_path: Path) -> None:
    """With averaged weights, too; under a cosine it is not."""
    for schedule, same in (("constant", True), ("cosine", False)):
        optimizer = Optimizer(schedule=schedule, averaging=3)  # type: ignore[arg-type]
        listener = Listener()
        train(small_trial(optimizer=optimizer), tmp_path / schedule, listener)
        shorter = train(small_trial(optimizer=optimizer, steps=4, rungs=1), tmp_path / f"{schedule}-shorter")
        rung = timeless(listener.reports[0].metrics)
        assert (rung == {name: shorter.metrics[name] for name in rung}) is same


def test_what_is_measured_is_the_average_and_what_is_trained_is_not(tmp_path: Path) -> None:
    plain, averaged = Listener(), Listener()
    train(small_trial(), tmp_path / "plain", plain)
    config = small_trial()
    optimizer = config.optimizer.model_copy(update={"averaging": 3.0})
    train(config.model_copy(update={"optimizer": optimizer}), tmp_path / "averaged", averaged)
    pairs = [(one.metrics, other.metrics) for one, other in zip(plain.reports, averaged.reports, strict=True)]
    assert all(one[TRAIN_LOSS] == other[TRAIN_LOSS] for one, other in pairs)
    assert any(one["transfer/knn_top1"] != other["transfer/knn_top1"] for one, other in pairs)


def test_reports_at_its_rungs_and_ends_complete(tmp_path: Path) -> None:
    listener = Listener()
    outcome = train(small_trial(), tmp_path, listener)
    assert [(report.rung, report.step, report.fidelity) for report in listener.reports] == [
        (0, 4, 4 / 12),
        (1, 8, 8 / 12),
        (2, 12, 1.0),
    ]
    assert (outcome.state, outcome.step, outcome.fidelity) == ("complete", STEPS, 1.0)
    assert listener.reports[-1].metrics.items() <= outcome.metrics.items()


def test_rungs_know_nothing_of_the_test_split(tmp_path: Path) -> None:
    config, listener = small_trial(), Listener()
    outcome = train(config, tmp_path, listener)
    assert not [name for report in listener.reports for name in report.metrics if name.startswith(TEST_PREFIX)]
    measured = [name for name in goal_metrics(config) if name not in PLANNED_METRICS]
    assert all(name in outcome.metrics and on_test(name) in outcome.metrics for name in measured)
    pruned = train(small_trial(), tmp_path / "pruned", Listener(stop_at=0))
    assert not [name for name in pruned.metrics if name.startswith(TEST_PREFIX)]


@pytest.mark.parametrize("rung", range(RUNGS - 1))
def test_no_step_is_trained_after_a_verdict_to_stop(rung: int, tmp_path: Path) -> None:
    config = small_trial()
    task, listener = WatchedTask(config.task.load()), Listener(stop_at=rung)
    outcome = train(config, tmp_path, listener, task)
    assert (outcome.state, outcome.step) == ("pruned", config.rung_steps()[rung])
    assert len(task.batches) == outcome.step
    assert outcome.metrics == listener.reports[-1].metrics


def test_a_verdict_to_stop_at_the_end_stops_nothing(tmp_path: Path) -> None:
    assert train(small_trial(), tmp_path, Listener(stop_at=RUNGS - 1)).state == "complete"


@each_member
def test_killed_at_every_rung_and_between_is_as_good_as_never_killed(config: TrialConfig, tmp_path: Path) -> None:
    calm = Listener()
    expected = train(config, tmp_path / "calm", calm)
    reports = []
    folder = tmp_path / "killed"
    for rung in range(RUNGS):
        listener = Listener(kill_at=rung)
        with pytest.raises(Killed):
            train(config, folder, listener)
        reports += listener.reports[1:] if rung else listener.reports
        if rung + 1 < RUNGS:
            with pytest.raises(Killed):  # once more, two steps into the next rung
                train(config, folder, task=WatchedTask(config.task.load(), lives=2))
    listener = Listener()
    outcome = train(config, folder, listener)
    assert [report.rung for report in listener.reports] == [RUNGS - 1]  # told again: nobody may have heard it
    assert outcome.weights_digest == expected.weights_digest
    assert timeless(outcome.metrics) == timeless(expected.metrics)
    assert [timeless(report.metrics) for report in reports] == [timeless(report.metrics) for report in calm.reports]


GUIDED = small_trial(negatives=Retrieval(count=12), policy=MIGuided(every=3))


def test_a_policy_that_is_told_estimates_costs_at_most_its_plan_and_resumes(tmp_path: Path) -> None:
    expected = train(GUIDED, tmp_path / "calm")
    planned = planned_metrics(GUIDED)
    for name in (COST_S, FLOPS, BYTES):
        assert 0 < expected.metrics[name] < planned[name]
    with pytest.raises(Killed):
        train(GUIDED, tmp_path / "killed", task=WatchedTask(GUIDED.task.load(), lives=7))
    outcome = train(GUIDED, tmp_path / "killed")
    assert outcome.weights_digest == expected.weights_digest
    assert timeless(outcome.metrics) == timeless(expected.metrics)


def test_a_policy_changes_what_is_trained(tmp_path: Path) -> None:
    constant = GUIDED.model_copy(update={"policy": Constant()})
    annealed = GUIDED.model_copy(update={"policy": Anneal(temperature=0.25)})
    digests = {train(config, tmp_path / config.policy.name).weights_digest for config in (GUIDED, constant, annealed)}
    assert len(digests) == 3


def test_a_policy_is_told_nothing_of_validation_or_test(tmp_path: Path) -> None:
    """The images that it estimates on are those that probes learn from, and without their labels."""
    task = GUIDED.task.load()
    name, transfer_set = next(iter(task.transfer_sets.items()))
    noise = ImageSplit(torch.rand_like(images_of(transfer_set.validation)), transfer_set.validation.label_N)
    known = images_of(task.source)[: len(transfer_set.train.label_N)]  # tells as much as the source does
    watched = WatchedTask(task)
    watched.transfer_sets = {name: replace(transfer_set, validation=noise, test=noise)}
    assert train(GUIDED, tmp_path / "noise", task=watched).weights_digest == train(GUIDED, tmp_path).weights_digest
    watched.transfer_sets = {name: replace(transfer_set, train=replace(transfer_set.train, images=known))}
    assert train(GUIDED, tmp_path / "other", task=watched).weights_digest != train(GUIDED, tmp_path).weights_digest


ADAPTER = small_trial(student=Adapter(hidden=8), objective=InfoNCE(positive="view"))


def test_an_adapter_starts_as_the_raw_embedding_and_is_measured_against_it(tmp_path: Path) -> None:
    shown = shown_to(ADAPTER, images_of(ADAPTER.task.load().source)[:9])
    assert torch.equal(TrainingStep(ADAPTER).features(shown), shown.teacher.features)
    metrics = train(ADAPTER, tmp_path).metrics
    teacher = TeacherCache(teacher_of(ADAPTER.teacher, ADAPTER.task), Storage(str(tmp_path / "raw")))
    raw = Measurements(ADAPTER, ADAPTER.task.load(), teacher).of(lambda shown: shown.teacher.features).final()
    for name in ("transfer/knn_top1", "test/shift/linear_top1"):
        assert raw[gain_metric(name)] == 0
        assert metrics[gain_metric(name)] == pytest.approx(metrics[name] - raw[name])


def test_both_views_of_an_adapter_differ_and_repeat(tmp_path: Path) -> None:
    outcomes = [train(ADAPTER, tmp_path / str(i)) for i in range(2)]
    assert outcomes[0].weights_digest == outcomes[1].weights_digest
    plain = ADAPTER.model_copy(update={"student": Adapter(hidden=8, mask=0.0, noise=0.0)})
    assert train(plain, tmp_path / "plain").weights_digest != outcomes[0].weights_digest


def test_resume_repeats_the_report_and_no_step(tmp_path: Path) -> None:
    config = small_trial()
    killed, resumed = Listener(kill_at=1), Listener(stop_at=1)
    with pytest.raises(Killed):
        train(config, tmp_path, killed)
    task = WatchedTask(config.task.load())
    outcome = train(config, tmp_path, resumed, task)
    assert list(map(without_system, resumed.reports)) == list(map(without_system, killed.reports[1:]))
    assert (outcome.state, task.batches) == ("pruned", [])


def without_system(report: RungReport) -> RungReport:
    """With its device seconds: nothing was trained since."""
    metrics = {name: value for name, value in report.metrics.items() if not name.startswith(SYSTEM_PREFIX)}
    return replace(report, metrics=metrics)


def test_an_epoch_sees_every_sample_at_most_once_and_epochs_differ(tmp_path: Path) -> None:
    config = small_trial(batch_size=300, steps=6, rungs=1)
    task = WatchedTask(config.task.load())
    train(config, tmp_path, task=task)
    epochs = [sum(task.batches[:3], ()), sum(task.batches[3:], ())]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 900
    assert epochs[0] != epochs[1]


def test_a_loss_that_is_no_number_ends_the_trial_with_what_to_change(tmp_path: Path) -> None:
    wild = Optimizer(learning_rate=1e30, momentum=0.0, weight_decay=0.0, schedule="constant")
    with pytest.raises(TrialFailure) as failure:
        train(small_trial(optimizer=wild), tmp_path)
    assert failure.value.kind == "nan"
    for told in ("nan at step 1 of 12", "it was ", "optimizer.learning_rate", "objective.temperature"):
        assert told in failure.value.message
    assert not list(tmp_path.rglob("*.json"))  # and nothing to resume from


def test_the_loss_of_a_report_is_the_one_of_its_last_step(tmp_path: Path) -> None:
    every, last = Listener(), Listener()
    train(small_trial(rungs=STEPS), tmp_path / "every", every)
    train(small_trial(rungs=1), tmp_path / "last", last)
    assert last.reports[0].metrics[TRAIN_LOSS] == every.reports[-1].metrics[TRAIN_LOSS]
    assert len({report.metrics[TRAIN_LOSS] for report in every.reports}) == STEPS


def test_trains_with_as_many_workers_as_the_config_says(tmp_path: Path) -> None:
    with pytest.raises(TrialFailure, match="workers: 2"):
        train(small_trial(workers=2), tmp_path, world=SingleWorld())


def test_run_trial_goes_from_plain_values_to_an_outcome_and_resumes(tmp_path: Path) -> None:
    config = small_trial()
    workspace = tmp_path / "storage" / "my-sweep"
    plain = json.loads(json.dumps(config.to_json()))
    with pytest.raises(Killed):
        run_trial(plain, trial=7, workspace=str(workspace), report=Listener(kill_at=1), world=SingleWorld())
    listener = Listener()
    outcome = run_trial(plain, trial=7, workspace=str(workspace), report=listener, world=SingleWorld())
    assert [report.rung for report in listener.reports] == [1, 2]
    assert outcome.weights_digest == train(config, tmp_path / "directly").weights_digest
    assert len(list((tmp_path / "storage" / TEACHERS).glob("*.safetensors"))) == 1  # shared by all sweeps
    assert list((workspace / "trials" / "7").rglob("*.safetensors"))
