"""One local Ray for the tests of slots, on two CPUs, and one sweep through two slots that most of them look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray

from search_spaces.policies import SlotClass
from sweeps.events import Reported, SlotEvent
from sweeps.slots.cluster import start_ray
from sweeps.slots.records import Job
from sweeps.slots.slots import SlotPlan, Slots
from tests.sweeps.slots.driving import drive
from trainables.outcomes import Verdict

FORMULA = "tests.sweeps.slots.formula_trials:formula"
PREPARE = "tests.sweeps.slots.formula_trials:note"

PLAIN = range(40)
STOPPED, LONG, RAISES, NAN, STARVED, KILLED = range(40, 46)
STOP_AT_RUNG = 2


@dataclass(frozen=True)
class Sweep:
    """What a sweep of formula trials left: its events, and the folder in which its trials marked their steps."""

    events: dict[int, list[SlotEvent]]
    workspace: Path

    def steps(self, trial: int, rank: int = 0) -> list[int]:
        """The steps that one worker ran, over all attempts."""
        return [int(line) for line in (self.workspace / f"trial-{trial}-rank-{rank}.txt").read_text().split()]


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    start_ray(cpus=2)
    yield
    ray.shutdown()


def decide(report: Reported) -> Verdict:
    return "stop" if report.trial == STOPPED and report.rung == STOP_AT_RUNG else "continue"


@pytest.fixture(scope="session")
def sweep(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Sweep:  # noqa: ARG001  # a fixture may not use `usefixtures`
    """46 trials through two slots that fill both CPUs: 40 plain ones, and one for everything that can happen to one.

    The first four meet in pairs: no slot, however fast it starts, can train all of them alone.
    """
    workspace = tmp_path_factory.mktemp("sweep")
    pairs = {0: 1, 1: 0, 2: 3, 3: 2}
    jobs = [Job(trial, {"steps": 1} | ({"meets": pairs[trial]} if trial in pairs else {})) for trial in PLAIN]
    jobs += [Job(STOPPED, {"steps": 6}), Job(LONG, {"steps": 6})]
    jobs += [
        Job(trial, {"steps": 3, "at": 2, "what": what})
        for trial, what in ((RAISES, "raise"), (NAN, "nan"), (STARVED, "memory"), (KILLED, "die once"))
    ]
    with Slots(SlotPlan([SlotClass(slots=2)], run_trial=FORMULA), "sweep", "1", str(workspace)) as slots:
        return Sweep(drive(slots, jobs, decide), workspace)
