"""No sweep spends more than it was given, whatever dies: 200 simulated ones, each with a true meter of its own."""

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sweeps.driver import Driver
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.spending import begun
from tests.sweeps.plain_slot import smoke
from tests.sweeps.simulated_cluster import Cluster, Odds
from trainables.compute import planned_metrics
from trainables.config import TrialConfig

COST = "compute/cost_s"
SIMULATED = 200
BATCHES = 8
ROUNDING = 1e-9
DEAREST = max(planned_metrics(TrialConfig.model_validate(tree))[COST] for tree in smoke().space.corners())


@dataclass(frozen=True)
class Spent:
    """A sweep that came to its end: its cap, what it charged and what its workers really did, all of them cost."""

    worth: float  # the cap, in trials that are as dear as can be
    cap: float
    charged: float
    ran: float
    sessions: int
    quiet: bool  # nobody was killed, no trial failed

    @property
    def exceeded(self) -> bool:
        return max(self.ran, self.charged) > self.cap * (1 + ROUNDING)


def is_large(seed: int) -> bool:
    """A quarter of each batch."""
    return seed // BATCHES % 4 == 0


def simulated(folder: Path, seed: int) -> Spent:
    chance = random.Random(seed)
    worth = chance.uniform(40, 60) if is_large(seed) else chance.uniform(1, 12)
    cap, quiet = worth * DEAREST, chance.random() < 0.3
    stop = chance.choice(["{name: none}", "{name: non_dominated, keep: 0.5, minimum: 3}"])
    loaded = smoke(
        f"search={{name: random, seed: {seed}}}",
        f"stop={stop}",
        f"trial.rungs={chance.choice([1, 2, 3])}",
        f"budget={{cost_s: {cap!r}}}",
    )
    deaths = Odds(chance.choice([0.0, 0.002, 0.01]), chance.choice([0.0, 0.02, 0.1]), 0.01)
    cluster = Cluster(loaded, folder, chance.choice([1, 2, 4]), Odds() if quiet else deaths, seed)
    while cluster.session() is None:
        pass
    with Ledger.open(folder) as ledger:
        charged = begun(History.of(ledger.events()), COST)
    return Spent(worth, cap, charged, cluster.ran, cluster.sessions, quiet)


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: that what is written lasts is tested elsewhere."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_cap_is_exceeded_and_a_large_one_is_used(memory: Path, batch: int) -> None:
    seeds = range(batch, SIMULATED, BATCHES)
    sweeps = [simulated(memory / f"caps-{seed}", seed) for seed in seeds]
    assert not [seed for seed, spent in zip(seeds, sweeps, strict=True) if spent.exceeded]
    assert all(spent.ran <= spent.charged * (1 + ROUNDING) for spent in sweeps), "something ran before it was charged"
    large = [spent for spent in sweeps if spent.worth >= 40]
    assert len(large) >= 5
    assert all(spent.charged >= 0.95 * spent.cap for spent in large)
    assert all(spent.ran >= 0.95 * spent.cap for spent in large if spent.quiet)
    assert sum(spent.sessions > 1 for spent in sweeps) >= 5, "drivers were killed"


def keep_nothing(_: Driver) -> list[TrialRecord]:
    return []


def charge_once(trial: TrialRecord) -> None:
    trial.paid = trial.begun = max(trial.begun, trial.next_rung)


@pytest.mark.parametrize(
    ("owner", "name", "broken"), [(Driver, "_kept", keep_nothing), (TrialRecord, "charge", charge_once)]
)
def test_the_simulation_finds_a_driver_that_overspends(
    memory: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: Callable[..., object]
) -> None:
    monkeypatch.setattr(owner, name, broken)
    seeds = [seed for seed in range(40) if not is_large(seed)]
    assert any(simulated(memory / f"{name}-{seed}", seed).exceeded for seed in seeds)
