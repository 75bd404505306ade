"""A budget of cost, a larger one with a deadline, and the end: through the command line, with a real Ray."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.events import Budgeted
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.spending import begun

ROOT = Path(__file__).parents[2]
CAP = 0.003  # of cost: two trials and a half
SECONDS = 12.0  # that the resumed sweep gets


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    told = [sys.executable, "-m", "sweeps", *arguments]
    return subprocess.run(told, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)


def history_of(folder: Path) -> History:
    with Ledger.open(folder) as ledger:
        return History.of(ledger.events())


@pytest.mark.timeout(600)
def test_a_sweep_ends_with_its_budget_and_a_larger_one_ends_at_its_deadline(tmp_path: Path) -> None:
    settings = ("resources.slots=1", "stop={name: none}", f"budget={{cost_s: {CAP}}}")
    run = command(
        "run", "search_spaces/smoke.yaml", "--storage", str(tmp_path), "--id", "capped",
        *(part for setting in settings for part in ("--set", setting)),
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    before = history_of(tmp_path / "capped")
    assert before.closed == "done"
    assert before.counts()["complete"] == len(before.trials) >= 1
    assert begun(before, "compute/cost_s") <= CAP

    held = sum((session.last_at - session.opened_at).total_seconds() for session in before.sessions)
    hours = (held + SECONDS) / 3600
    more = ("--budget", "cost_s=1000", "--budget", f"wall_hours={hours!r}")
    resumed = command("resume", "capped", "--storage", str(tmp_path), *more)
    assert resumed.returncode == 4, resumed.stdout + resumed.stderr
    assert "that time is used up" in resumed.stdout
    after = history_of(tmp_path / "capped")
    assert after.closed == "stopped"
    assert sum((session.last_at - session.opened_at).total_seconds() for session in after.sessions) <= hours * 3600
    with Ledger.open(tmp_path / "capped") as ledger:
        (given,) = [event for _, _, event in ledger.events() if isinstance(event, Budgeted)]
    assert given.budget == {"cost_s": 1000, "wall_hours": hours}

    again = command("resume", "capped", "--storage", str(tmp_path))
    assert again.returncode == 4
    assert history_of(tmp_path / "capped").sessions == after.sessions, "no time, so nothing was started"
