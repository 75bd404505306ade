"""Whole sweeps through the command line: real Ray, Ray Train, Ray Tune, Optuna, SQLite and MLflow."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from sweeps.events import Event, Planned, Reported
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.slots.records import Job
from sweeps.tracking.of_sweep import EXPERIMENT
from tests.sweeps.plain_slot import PlainSlot, driving, smoke
from tests.sweeps.test_driver import run_out
from tests.trainables.trials import timeless
from trainables.loop import run_trial
from trainables.outcomes import Outcome, Report
from trainables.world import SingleWorld

ROOT = Path(__file__).parents[2]
SWEEP = "killed"
SETTINGS = ("budget.trials=8", "stop.minimum=2", "resources.slots=1", "trial.steps=60")
KILL_AFTER = 3  # trials that have ended by then: the kill falls into a later one


@dataclass(frozen=True)
class Swept:
    """A sweep whose driver was killed with SIGKILL in mid-trial, and that was then resumed."""

    storage: Path
    driver_pids: list[int]
    before: History
    after: History
    events: list[Event]
    resumed: subprocess.CompletedProcess[str]


def start(*arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sweeps", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def history_of(folder: Path) -> History:
    with Ledger.open(folder) as ledger:
        return History.of(ledger.events())


def wait_for_ledger(folder: Path, process: subprocess.Popen[str], ended: int) -> None:
    """Until so many trials have ended and the next one runs."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
        if (folder / "ledger.db").exists():
            counts = history_of(folder).counts()
            if counts["complete"] + counts["pruned"] >= ended and counts["running"]:
                return
    pytest.fail(f"the sweep never came to {ended} ended trials: {process.stdout and process.stdout.read()}")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    storage = tmp_path_factory.mktemp("results")
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    driver = start("run", "search_spaces/smoke.yaml", *settings, "--storage", str(storage), "--id", SWEEP)
    wait_for_ledger(storage / SWEEP, driver, KILL_AFTER)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    before = history_of(storage / SWEEP)
    resumed = start("resume", SWEEP, "--storage", str(storage))
    output, _ = resumed.communicate(timeout=250)
    done = subprocess.CompletedProcess(resumed.args, resumed.returncode, output)
    with Ledger.open(storage / SWEEP) as ledger:
        events = [event for _, _, event in ledger.events()]
    return Swept(storage, [driver.pid, resumed.pid], before, history_of(storage / SWEEP), events, done)


def trials_alone(tmp_path: Path) -> dict[int, TrialRecord]:
    """The same sweep without Ray, without a kill, one trial after another in this process."""

    def train(job: Job, report: Report) -> Outcome:
        workspace = str(tmp_path / "twin")
        return run_trial(job.config, trial=job.trial, workspace=workspace, report=report, world=SingleWorld())

    slot = PlainSlot(train)
    with driving(tmp_path / "twin", smoke(*SETTINGS), slot) as driver:
        run_out(driver, slot)
        return driver.ledger.history.trials


def test_the_kill_fell_into_a_running_trial(swept: Swept) -> None:
    assert swept.before.counts()["running"] >= 1
    assert swept.before.counts()["complete"] + swept.before.counts()["pruned"] >= KILL_AFTER
    assert swept.before.closed is None
    assert max(len(trial.attempts) for trial in swept.after.trials.values()) >= 2


def test_killed_and_resumed_it_is_the_sweep_that_was_never_interrupted(swept: Swept, tmp_path: Path) -> None:
    assert swept.resumed.returncode == 0, swept.resumed.stdout
    alone = trials_alone(tmp_path)
    assert sorted(swept.after.trials) == sorted(alone) == list(range(8))
    for number, trial in swept.after.trials.items():
        twin = alone[number]
        assert trial.config == twin.config
        assert (trial.state, trial.step, trial.weights_digest) == (twin.state, twin.step, twin.weights_digest)
        assert timeless(trial.metrics) == timeless(twin.metrics)


def test_nothing_is_lost_and_nothing_is_counted_twice(swept: Swept) -> None:
    planned = Counter(event.trial for event in swept.events if isinstance(event, Planned))
    ended = Counter(event.trial for event in swept.events if event.kind == "ended")
    assert planned == ended == Counter(range(8))
    for number, trial in swept.before.trials.items():
        if trial.state in ("complete", "pruned"):
            assert swept.after.trials[number].ended == trial.ended, "a finished trial stays as it was"


def test_a_stopped_trial_trained_no_step_after_its_rung(swept: Swept) -> None:
    stopped = [event for event in swept.events if isinstance(event, Reported) and event.verdict == "stop"]
    assert stopped, "smoke.yaml must stop somebody here"
    for report in stopped:
        trial = swept.after.trials[report.trial]
        assert (trial.state, trial.step, trial.fidelity) == ("pruned", report.step, report.fidelity)
        checkpoints = sorted((swept.storage / SWEEP / "trials" / str(report.trial)).rglob("step-*.json"))
        assert int(checkpoints[-1].stem.removeprefix("step-")) == report.step


def test_every_trial_was_trained_by_a_ray_train_worker(swept: Swept) -> None:
    for trial in swept.after.trials.values():
        assert trial.attempts
        for attempt in trial.attempts:
            (worker,) = attempt.workers
            assert (worker.rank, worker.world_size) == (0, 1)
            assert worker.experiment.startswith(f"{SWEEP}-")
            assert worker.experiment.endswith(f"-slot-{attempt.slot}")
            assert worker.pid not in [*swept.driver_pids, os.getpid()]


def test_mlflow_has_one_run_for_each_trial_below_one_for_the_sweep(swept: Swept) -> None:
    client = MlflowClient(f"sqlite:///{swept.storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id]))
    children: dict[int, Run] = {int(run.data.tags["trial"]): run for run in runs if "trial" in run.data.tags}
    (parent,) = [run for run in runs if "trial" not in run.data.tags]
    assert len(runs) == 9
    assert sorted(children) == list(range(8))
    for number, run in children.items():
        trial = swept.after.trials[number]
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["state"] == trial.state
        assert tags["attempt"] == str(len(trial.attempts))
        assert tags["config_digest"] == trial.config_digest
        workers = json.loads(tags["attempt.1.workers"])
        assert workers[0]["pid"] == trial.attempts[0].workers[0].pid
        assert run.data.params["memory.size"] == str(trial.config["memory"]["size"])
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")]
        assert set(steps) >= {report.step for report in trial.reports.values()}


def test_the_end_says_what_came_out_and_where_to_look(swept: Swept) -> None:
    output = swept.resumed.stdout
    for said in ("Front: complete trials", "python -m sweeps ui", "python -m dashboards front", str(swept.storage)):
        assert said in output
    assert "Traceback" not in output


def test_a_finished_sweep_resumed_again_changes_no_trial(swept: Swept) -> None:
    again = start("resume", SWEEP, "--storage", str(swept.storage))
    again.communicate(timeout=200)
    assert again.returncode == 0
    assert history_of(swept.storage / SWEEP).trials == swept.after.trials


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_sweep_that_can_be_resumed(tmp_path: Path, signum: signal.Signals) -> None:
    settings = ["--set", "trial.steps=2000", "--set", "budget.trials=2"]
    file = str(ROOT / "search_spaces/smoke.yaml")
    driver = start("run", file, *settings, "--id", "signalled", cwd=tmp_path)  # where results/ is relative to
    wait_for_ledger(tmp_path / "results" / "signalled", driver, ended=0)
    driver.send_signal(signum)
    output, _ = driver.communicate(timeout=30)
    assert driver.returncode == 128 + signum, output
    assert "continue with: python -m sweeps resume signalled" in output
    history = history_of(tmp_path / "results" / "signalled")
    assert history.closed == "interrupted"
    assert history.counts()["running"] >= 1


def test_a_trial_that_was_killed_and_resumed_is_reproduced_in_one_go(swept: Swept) -> None:
    number = next(n for n, trial in swept.after.trials.items() if len(trial.attempts) > 1)
    again = start("reproduce", f"{SWEEP}:{number}", "--storage", str(swept.storage))
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert "exact (the same platform)" in said
