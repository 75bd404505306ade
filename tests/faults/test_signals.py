"""Ctrl-C and SIGTERM at random instants of real sweeps: gone within 10 s, nothing lost, nothing counted twice."""

import math
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from tests.faults.lengths import LONG, count

SIGNALS = 20
ROOT = Path(__file__).parents[2]
TRIALS = 6
SETTINGS = (f"budget.trials={TRIALS}", "stop.minimum=2", "resources.slots=1", "trial.steps=200")
LATEST_S = 20.0  # after the start, which takes some 8 to 12 s of a machine that does nothing else
IN_A_TRIAL_S = 1.0  # after a trial has begun, at the latest
GONE_WITHIN_S = 10.0


@dataclass(frozen=True)
class Signalled:
    """What a driver did with a signal."""

    exit_code: int
    seconds: float
    output: str


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    """A test that fails leaves no driver behind."""
    yield
    for driver in STARTED:
        if driver.poll() is None:
            driver.kill()
            driver.wait()
        if driver.stdout:
            driver.stdout.close()
    STARTED.clear()


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sweeps", *arguments]
    STARTED.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    return STARTED[-1]


def run(storage: Path, sweep: str) -> subprocess.Popen[str]:
    """A driver of a new sweep, from the moment when its ledger is there."""
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    driver = start("run", "search_spaces/smoke.yaml", *settings, "--storage", str(storage), "--id", sweep)
    assert driver.stdout is not None
    while not (line := driver.stdout.readline()).startswith(f"sweep {sweep}"):
        assert line, "it ended without a sweep"
    return driver


def signalled(driver: subprocess.Popen[str], *signums: int) -> Signalled:
    began = time.monotonic()
    for signum in signums:
        driver.send_signal(signum)
        time.sleep(0.3 if len(signums) > 1 else 0)
    output, _ = driver.communicate(timeout=180)
    return Signalled(driver.returncode, time.monotonic() - began, output)


def children(pid: int) -> list[str]:
    """The command lines of the processes that it has started."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            found.append(Path(f"/proc/{child}/cmdline").read_text())
    return found


def history_of(storage: Path, sweep: str) -> History:
    with Ledger.open(storage / sweep) as ledger:
        return History.of(ledger.events())


def begun(storage: Path, sweep: str) -> int:
    """How often a trial was begun, or begun again."""
    return sum(len(trial.attempts) for trial in history_of(storage, sweep).trials.values())


def wait_for_a_trial(driver: subprocess.Popen[str], storage: Path, sweep: str, before: int) -> None:
    """Until one more has begun than `before`, or the driver has ended."""
    while driver.poll() is None and begun(storage, sweep) == before:
        time.sleep(0.02)


def assert_whole(storage: Path, sweep: str) -> None:
    """Every trial of a finished sweep was planned once and ended once."""
    with Ledger.open(storage / sweep) as ledger:
        events = [event for _, _, event in ledger.events()]
    for kind in ("planned", "ended"):
        assert Counter(event.key for event in events if event.kind == kind) == {
            f"{kind}/{trial}": 1 for trial in range(TRIALS)
        }
    history = history_of(storage, sweep)
    assert history.closed == "done"
    assert history.counts()["failed"] == 0


def is_exit_of(exit_code: int, signum: int) -> bool:
    """Before the driver listens, the signal itself ends it: a shell shows the same number for that."""
    return exit_code in (128 + signum, -signum)


@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not LONG, reason="minutes of Ray: make faults (tests/sweeps/test_session.py sends each signal once)"
)
def test_signals_at_random_instants_lose_nothing_and_the_sweep_can_be_finished(tmp_path: Path) -> None:
    chance, done, finished = random.Random(7), list[Signalled](), 0
    sweep, fresh = "signalled-0", True
    while len(done) < SIGNALS:
        had_begun = 0 if fresh else begun(tmp_path, sweep)
        driver = run(tmp_path, sweep) if fresh else start("resume", sweep, "--storage", str(tmp_path))
        if len(done) % 2:
            wait_for_a_trial(driver, tmp_path, sweep, had_begun)
            time.sleep(chance.uniform(0, IN_A_TRIAL_S))
        else:
            time.sleep(chance.uniform(0, LATEST_S))
        if driver.poll() is not None:  # it was faster
            assert driver.returncode == 0, driver.communicate()[0]
            finished += 1
            assert_whole(tmp_path, sweep)
            sweep, fresh = f"signalled-{finished}", True
            continue
        signum = chance.choice([signal.SIGINT, signal.SIGTERM])
        before = history_of(tmp_path, sweep)
        done.append(signalled(driver, signum))
        fresh = False
        assert is_exit_of(done[-1].exit_code, signum), done[-1]
        assert done[-1].seconds < GONE_WITHIN_S, done[-1]
        after = history_of(tmp_path, sweep)
        for number, trial in before.trials.items():
            if trial.ended:
                assert after.trials[number].ended == trial.ended
    last = start("resume", sweep, "--storage", str(tmp_path))
    output, _ = last.communicate(timeout=280)
    assert last.returncode == 0, output
    assert_whole(tmp_path, sweep)
    slowest = math.ceil(max(each.seconds for each in done))
    heard = sum("continue with: python -m sweeps resume" in each.output for each in done)
    count("P12 signals", sent=len(done), heard_by_the_driver=heard, slowest_end_s=slowest, lost=0, double=0)
    histories = [history_of(tmp_path, f"signalled-{number}") for number in range(finished + 1)]
    again = max(len(trial.attempts) for history in histories for trial in history.trials.values())
    assert heard >= SIGNALS * 0.5
    assert again >= 2, "no signal fell into a trial"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_starts_leaves_an_interrupted_sweep(tmp_path: Path, signum: int) -> None:
    driver = run(tmp_path, "early")
    deadline = time.monotonic() + 60
    while not any("gcs_server" in child for child in children(driver.pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    ended = signalled(driver, signum)
    assert ended.exit_code == 128 + signum, ended.output
    assert ended.seconds < GONE_WITHIN_S
    history = history_of(tmp_path, "early")
    assert (history.closed, history.trials) == ("interrupted", {}), ended
    assert len(history.sessions) == 1


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    driver = run(tmp_path, "twice")
    time.sleep(5)
    ended = signalled(driver, signal.SIGINT, signal.SIGINT)
    assert is_exit_of(ended.exit_code, signal.SIGINT), ended.output
    assert ended.seconds < 3
