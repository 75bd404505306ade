"""A sweep of any size that nothing was trained for, in a ledger as a driver would have left it, written at once."""

import json
import math
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from search_spaces.sweep_file import LoadedSweep, load
from sweeps.events import Closed, Ended, Event, Opened, Planned, Reported, Started, Worker
from sweeps.ledger.chain import genesis, link
from sweeps.ledger.schema import EVENTS, SWEEP
from sweeps.ledger.store import Ledger, _row
from sweeps.search.planning import planned_compute
from trainables.config import TrialConfig

RUNGS = 4
BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)
WORKER = Worker(rank=0, world_size=1, pid=1, host="host", node_id="node", experiment="slot-0")
GOAL = "transfer/knn_top1"


def digits(count: int = 40) -> LoadedSweep:
    return load(Path("search_spaces/digits.yaml"), ["search={name: random, seed: 0}", f"budget.trials={count}"])


def opened() -> Opened:
    environment = {"python": "3.11.9", "torch": "2.13.0", "platform": "Linux", "git_commit": "0" * 40}
    return Opened(fence=1, host="h", pid=1, code_digest="c" * 64, data_digest="d" * 64, environment=environment)


def trials(numbers: Iterable[int], loaded: LoadedSweep, seed: int = 0) -> Iterator[Event]:
    """Trials that learn by a formula: half are stopped on the way, and every fortieth fails."""
    for number in numbers:
        chance = random.Random(f"{seed}/{number}")
        point = next(loaded.space.sample(seed * 1_000_003 + number))
        config = TrialConfig.model_validate(point.config)
        compute = planned_compute(config, loaded.file)
        yield Planned(
            trial=number,
            config=config.to_json(),
            config_digest=config.digest(),
            parameters=point.parameters,
            distributions={},
            sampler_attributes={},
            compute=compute,
            rungs=[(rung + 1) / RUNGS for rung in range(RUNGS)],
            told=0,
        )
        yield from _trained(number, config, compute, chance)


def _trained(number: int, config: TrialConfig, compute: dict[str, float], chance: random.Random) -> Iterator[Event]:
    ids: dict[str, Any] = {"trial": number, "attempt": 1}
    yield Started(**ids, slot=number % 2, slot_trials=number // 2, workers=[WORKER])
    warm = math.log10(getattr(config.objective, "temperature", 0.1)) + 1.0
    final = 0.9 - 0.25 * warm**2 - 0.08 / (1e2 * compute["compute/cost_s"]) ** 0.5 + chance.gauss(0, 0.02)
    fails = number % 40 == 17
    stops = 2 if not fails and chance.random() < 0.5 else RUNGS
    metrics: dict[str, float] = {}
    for rung in range(1 if fails else stops):
        reached = max(0.05, final) * (1 - math.exp(-1.2 * (rung + 1)))
        metrics = {GOAL: reached, "train/loss": 2.0 * math.exp(-0.8 * rung) + chance.random() / 10}
        verdict = "stop" if rung + 1 == stops < RUNGS else "continue"
        fidelity = (rung + 1) / RUNGS
        yield Reported(**ids, rung=rung, step=40 * (rung + 1), fidelity=fidelity, metrics=metrics, verdict=verdict)
    if fails:
        kinds = ("nan", "oom", "worker_lost")
        kind = kinds[number // 40 % 3]
        yield Ended(**ids, state="failed", step=50, fidelity=0.3, failure=kind, message="the loss is NaN at step 50")
        return
    tested = {
        f"test/{GOAL}": metrics[GOAL] - 0.02 + chance.gauss(0, 0.01),
        "compute/device_seconds": chance.uniform(1, 3),
    }
    state: Any = "complete" if stops == RUNGS else "pruned"
    said = {**metrics, **(tested if state == "complete" else {})}
    yield Ended(**ids, state=state, step=40 * stops, fidelity=stops / RUNGS, metrics=said, weights_digest="0" * 64)


def write(folder: Path, sweep: str, events: Iterable[Event], loaded: LoadedSweep, second: float = 0.5) -> None:
    """A new ledger with these events, `second` seconds after each other."""
    spec = {"file": loaded.file.to_json(), "source": loaded.source, "overrides": list(loaded.overrides)}
    with Ledger.create(folder, sweep, spec) as ledger:
        head, rows = genesis(sweep, ledger.uid, json.dumps(spec)), []
        for seq, event in enumerate(events, start=1):
            row = _row(BEGIN + timedelta(seconds=second * seq), event)
            head = link(head, seq, **row)
            rows.append({"seq": seq, "digest": head, **row})
        with ledger._engine.begin() as connection:
            if rows:
                connection.execute(insert(EVENTS), rows)
            connection.execute(update(SWEEP).values(head=head, fence=1))


def finished(folder: Path, sweep: str, count: int, seed: int = 0) -> None:
    """A sweep of `count` trials that is done."""
    loaded = digits(count)
    write(folder, sweep, [opened(), *trials(range(count), loaded, seed), Closed(fence=1, reason="done")], loaded)
