"""What a ledger costs as it grows: seconds per write, seconds until a resumed sweep can ask, bytes on the disk.

    python -m benchmarks.ledger_growth [--trials 100 1000 10000]

Trials of ten rungs, written by a driver that holds the ledger, as a sweep writes them; then the ledger is opened,
claimed, folded, and a `tpe` search is rebuilt from it. Claims, exit 1 if one fails: the time per write does not grow
(the last tenth of the writes against the first), the time per resume and the size grow no faster than what is read, and
a resume of the largest takes less than a minute. What a write waits for is the disk that `--folder` is on.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from optuna.distributions import distribution_to_json
from rich.console import Console
from rich.table import Table

from search_spaces.sweep_file import LoadedSweep, load
from sweeps.events import Ended, Event, Opened, Planned, Reported, Started, Worker
from sweeps.ledger.store import Ledger
from sweeps.search.planning import planned_compute, search_of
from trainables.config import TrialConfig

RUNGS = 10
WORKER = Worker(rank=0, world_size=1, pid=1, host="host", node_id="node", experiment="slot-0")
#: Per event, the larger ledger against the smaller: linear growth is 1.
LINEAR = 1.5
RESUME_S = 60.0


@dataclass(frozen=True)
class Measured:
    trials: int
    events: int
    first_write_s: float
    last_write_s: float
    open_s: float
    claim_s: float
    restore_s: float
    resume_cpu_s: float  # shown beside: what others do on the machine makes no difference to it
    size: int

    @property
    def resume_s(self) -> float:
        return self.open_s + self.claim_s + self.restore_s


def story(number: int, loaded: LoadedSweep, chance: random.Random, told: int) -> Iterator[Event]:
    """A trial, from a point of the space to its end."""
    point = next(loaded.space.sample(number))
    config = TrialConfig.model_validate(point.config)
    yield Planned(
        trial=number,
        config=config.to_json(),
        config_digest=config.digest(),
        parameters=point.parameters,
        distributions={name: distribution_to_json(each) for name, each in point.distributions.items()},
        sampler_attributes={},
        compute=planned_compute(config, loaded.file),
        rungs=[(rung + 1) / RUNGS for rung in range(RUNGS)],
        told=told,
    )
    ids = {"trial": number, "attempt": 1}
    yield Started(**ids, slot=0, slot_trials=number, workers=[WORKER])
    metrics = {f"transfer/{name}": chance.random() for name in ("knn_top1", "linear_top1", "few_shot_5", "cka")}
    for rung in range(RUNGS):
        fidelity = (rung + 1) / RUNGS
        yield Reported(**ids, rung=rung, step=rung, fidelity=fidelity, metrics=metrics, verdict="continue")
    yield Ended(**ids, state="complete", step=RUNGS, fidelity=1.0, metrics=metrics, weights_digest="0" * 64)


def measured(folder: Path, trials: int, loaded: LoadedSweep) -> Measured:
    writes = written(folder, trials, loaded)
    tenth = max(1, len(writes) // 10)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    with Ledger.open(folder) as ledger:
        opened = time.perf_counter()
        ledger.claim()
        claimed = time.perf_counter()
        search = search_of(loaded.space, loaded.file, ledger.history.trials)
        search.restore(ledger.history.trials.values())
        restored, restored_cpu = time.perf_counter(), time.process_time()
    return Measured(
        trials=trials,
        events=len(writes),
        first_write_s=statistics.median(writes[:tenth]),
        last_write_s=statistics.median(writes[-tenth:]),
        open_s=opened - begun,
        claim_s=claimed - opened,
        restore_s=restored - claimed,
        resume_cpu_s=restored_cpu - begun_cpu,
        size=(folder / "ledger.db").stat().st_size,
    )


def written(folder: Path, trials: int, loaded: LoadedSweep) -> list[float]:
    """Seconds of each write."""
    chance, writes = random.Random(0), []
    Ledger.create(folder, "growth", {"file": loaded.file.to_json()}).close()
    with Ledger.open(folder) as ledger:
        fence = ledger.claim()
        ledger.append(Opened(fence=fence, host="host", pid=1, code_digest="", data_digest="", environment={}))
        for number in range(trials):
            for event in story(number, loaded, chance, ledger.history.last_seq):
                begun = time.perf_counter()
                ledger.append(event)
                writes.append(time.perf_counter() - begun)
    return writes


def claims(rows: list[Measured]) -> dict[str, bool]:
    last = rows[-1]
    found = {f"a resume of {last.trials} trials takes less than {RESUME_S:.0f} s": last.resume_s < RESUME_S}
    for row in rows:
        held = row.last_write_s <= LINEAR * row.first_write_s
        found[f"of {row.trials} trials, the last writes take no longer than {LINEAR} times the first"] = held
    for small, large in pairwise(rows):
        more = large.events / small.events
        found[f"resuming {large.trials} takes no longer per event than {small.trials}, within {LINEAR}"] = (
            large.resume_s <= LINEAR * more * small.resume_s
        )
        found[f"{large.trials} trials take no more bytes per event than {small.trials}, within {LINEAR}"] = (
            large.size <= LINEAR * more * small.size
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()
    loaded = load(Path("search_spaces/digits.yaml"), ["search={name: tpe, seed: 0}"])
    table = Table(
        "trials", "events", "ms/write, first", "last", "open s", "claim s", "search s", "resume s", "CPU s", "MB"
    )
    rows = []
    for trials in arguments.trials:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            rows.append(row := measured(Path(folder), trials, loaded))
        seconds = (row.open_s, row.claim_s, row.restore_s, row.resume_s, row.resume_cpu_s)
        table.add_row(
            *(f"{count:,}" for count in (row.trials, row.events)),
            *(f"{1e3 * each:.2f}" for each in (row.first_write_s, row.last_write_s)),
            *(f"{each:.2f}" for each in seconds),
            f"{row.size / 1e6:.1f}",
        )
    out = Console()
    out.print(table)
    found = claims(rows)
    for claim, holds in found.items():
        out.print(f"{'holds' if holds else 'FAILS'}: {claim}", style=None if holds else "red", highlight=False)
    sys.exit(not all(found.values()))


if __name__ == "__main__":
    main()
