"""P1: a driver that is killed at any instant loses no trial, counts none twice, and suggests what it would have."""

import itertools
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sweeps.events import Event
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.tracking.mirror import sync
from sweeps.tracking.of_sweep import EXPERIMENT, tracking
from tests.faults.killed_driver import FAILPOINTS, MISSED, drive, settings
from tests.faults.lengths import LONG, count, length
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import facts, run_out

KILLS = length(16, 200)
TRIALS = length(60, 600)
LONGEST_S = 0.25  # that a driver lives, once it is ready or in a trial, where it is killed by the clock
LATE_S = 10.0

pytestmark = pytest.mark.timeout(3600 if LONG else 300)


@dataclass(frozen=True)
class Killed:
    """What was done to a sweep, and what became of it."""

    storage: Path
    by_clock: int
    at: Counter[str]  # kills by failpoint
    events: list[Event]
    history: History


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    storage = tmp_path_factory.mktemp("killed")
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.killed_driver"])
    draw, by_clock, at, code = random.Random(0), 0, Counter[str](), None
    failpoints = itertools.cycle(FAILPOINTS)
    while by_clock + at.total() < KILLS and code != 0:
        failpoint = next(failpoints) if by_clock > at.total() else None
        said, theirs = context.Pipe(duplex=False)
        calls = 1 if failpoint == "claim" else draw.randint(1, 3)
        driver = context.Process(target=drive, args=(storage, TRIALS, failpoint, calls, theirs))
        driver.start()
        if failpoint is None:
            said.recv()
            if by_clock % 2:
                said.poll(LATE_S)  # until it is in a trial, which on a busy machine comes late
            time.sleep(draw.uniform(0, LONGEST_S))
            driver.kill()
        driver.join(120)
        code = driver.exitcode
        assert code in (-signal.SIGKILL, MISSED, 0)
        if failpoint is None:
            by_clock += code == -signal.SIGKILL
        else:
            at[failpoint] += code == -signal.SIGKILL
    _, theirs = context.Pipe(duplex=False)
    last = context.Process(target=drive, args=(storage, TRIALS, None, 0, theirs))
    last.start()
    last.join(240)
    assert last.exitcode == 0
    with Ledger.open(storage / "sweep") as ledger:
        assert ledger.integrity_check() == []
        events = [event for _, _, event in ledger.events()]
        return Killed(storage, by_clock, at, events, History.of(ledger.events()))


def test_the_kills_hit(killed: Killed) -> None:
    assert killed.by_clock + killed.at.total() >= KILLS, "the sweep was at its end before: give it more trials"
    assert killed.by_clock >= KILLS // 4
    assert min(killed.at[name] for name in FAILPOINTS) >= length(1, 5), killed.at
    again = sum(len(trial.attempts) > 1 for trial in killed.history.trials.values())
    assert again >= length(2, TRIALS // 10)
    count("P1 driver killed", kills=killed.by_clock + killed.at.total(), failpoints=len(killed.at), begun_again=again)


def test_nothing_is_lost_and_nothing_is_counted_twice(killed: Killed) -> None:
    for kind in ("planned", "ended"):
        numbers = Counter(event.trial for event in killed.events if event.kind == kind)
        assert numbers == Counter(range(TRIALS)), kind


def test_it_is_the_sweep_that_was_never_interrupted(killed: Killed, tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    with driving(tmp_path, smoke(*settings(TRIALS)), slot) as driver:
        run_out(driver, slot)
    assert facts(killed.storage / "sweep") == facts(tmp_path)
    count("P1 rows equal to a twin", trials=TRIALS, lost=0, double=0)


def test_mlflow_holds_each_trial_once_and_whole(killed: Killed, tmp_path: Path) -> None:
    with Ledger.open(killed.storage / "sweep") as ledger:
        spec = ledger.spec
    sync(killed.storage / "sweep", tracking("sweep", spec, Results(str(tmp_path))))
    found, expected = (content(f"sqlite:///{folder / 'mlflow.db'}") for folder in (killed.storage, tmp_path))
    assert sorted(found) == sorted(["sweep", *map(str, range(TRIALS))])
    assert found == expected
    count("P1 runs in MLflow", runs=len(found), trials=TRIALS)


def content(uri: str) -> dict[str, object]:
    """What MLflow holds of each trial, without what it makes up itself; a trial with two runs is an error."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], max_results=10_000))
    names = Counter(run.data.tags.get("trial", "sweep") for run in runs)
    assert set(names.values()) == {1}, f"doubled: {[name for name, times in names.items() if times > 1]}"
    return {
        run.data.tags.get("trial", "sweep"): (
            run.info.run_name,
            run.info.status,
            run.data.params,
            run.data.metrics,
            {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"},
        )
        for run in runs
    }
