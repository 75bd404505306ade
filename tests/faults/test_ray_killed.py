"""P2 and P4: whole sweeps whose driver, raylet or GCS is killed; `resume` brings them to the end of a twin."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.slots.records import Job
from tests.faults.lengths import LONG, count
from tests.sweeps.plain_slot import PlainSlot, driving, smoke
from tests.sweeps.test_driver import run_out
from trainables.loop import run_trial
from trainables.metrics import of_this_run
from trainables.outcomes import Outcome, Report
from trainables.world import SingleWorld

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not LONG, reason="minutes of Ray: make faults (tests/sweeps/test_session.py kills a driver once)"
    ),
]

ROOT = Path(__file__).parents[2]
SETTINGS = ("stop.minimum=2", "resources.slots=1", "trial.steps=60")
SERVERS = {"raylet": "raylet", "GCS": "gcs_server"}
ENDS_S = 200  # a sweep that has lost its Ray must say so by then


def sweeps(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sweeps", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload,no-any-return]


def history(folder: Path) -> History:
    with Ledger.open(folder) as ledger:
        return History.of(ledger.events())


def wait_for_more(folder: Path, driver: subprocess.Popen[str], session: int, trials: int) -> None:
    """Until so many trials have ended, and one is under way in this session of the sweep."""
    while driver.poll() is None:
        time.sleep(0.02)
        if (folder / "ledger.db").exists():
            known = history(folder)
            ended = sum(trial.ended is not None for trial in known.trials.values())
            if len(known.sessions) == session and known.counts()["running"] and ended >= trials:
                return


def kill(victim: str, driver: subprocess.Popen[str]) -> None:
    if victim == "driver":
        os.killpg(driver.pid, signal.SIGKILL)
        return
    server = next(child for child in psutil.Process(driver.pid).children(True) if SERVERS[victim] in child.name())
    server.kill()


@pytest.mark.parametrize(("victim", "kills"), [("driver", 10), ("raylet", 5), ("GCS", 5)])
def test_a_sweep_survives(victim: str, kills: int, tmp_path: Path) -> None:
    trials = 2 * kills + 4
    settings = [f"--set={each}" for each in (*SETTINGS, f"budget.trials={trials}")]
    storage = ["--storage", str(tmp_path)]
    draw, codes = random.Random(victim), []
    for number in range(kills):
        begun = ["run", "search_spaces/smoke.yaml", "--id", "swept", *settings] if number == 0 else ["resume", "swept"]
        driver = sweeps(*begun, *storage)
        wait_for_more(tmp_path / "swept", driver, number + 1, 2 * number + 1)
        assert driver.poll() is None, driver.stdout and driver.stdout.read()
        time.sleep(draw.uniform(0, 0.5))
        kill(victim, driver)
        output, _ = driver.communicate(timeout=ENDS_S)
        codes.append(driver.returncode)
        assert driver.returncode in (-9, 4, 0), output
    last = sweeps("resume", "swept", *storage)
    output, _ = last.communicate(timeout=300)
    assert last.returncode == 0, output
    assert facts(history(tmp_path / "swept")) == facts(twin(tmp_path / "twin", trials))
    again = sum(len(trial.attempts) > 1 for trial in history(tmp_path / "swept").trials.values())
    assert again >= kills // 2, f"the kills fell between trials: {codes}"
    count(
        f"{'P2' if victim == 'driver' else 'P4'} {victim} killed", kills=kills, trials=trials, begun_again=again, lost=0
    )


def facts(of: History) -> list[tuple[object, ...]]:
    """All that a twin must have too, to the last bit; what is timed is left out."""
    return [
        (
            t.number,
            t.config,
            t.state,
            t.step,
            t.weights_digest,
            {k: v for k, v in t.metrics.items() if not of_this_run(k)},
        )
        for t in of.trials.values()
    ]


def twin(folder: Path, trials: int) -> History:
    """The same sweep without Ray and without a kill."""

    def train(job: Job, report: Report) -> Outcome:
        world = SingleWorld()
        return run_trial(job.config, trial=job.trial, workspace=str(folder), report=report, world=world)

    slot = PlainSlot(train)
    with driving(folder, smoke(*SETTINGS, f"budget.trials={trials}"), slot) as driver:
        run_out(driver, slot)
        return driver.ledger.history
