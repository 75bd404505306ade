"""A sweep of 10,000 trials on 1,000 slots: what the driver takes per trial, what grows, where it saturates.

    python -m benchmarks.scale [--trials 10000] [--slots 1000] [--search tpe] [--mlflow] [--folder /dev/shm]

Search, stopping, ledger, pool and, with `--mlflow`, MLflow's writer are the product's; trials take simulated time, an
hour on average, and train nothing (`benchmarks.simulated_slots`). Printed are seconds of the driver per trial, in all
until so many had ended: CPU seconds and beside them wall time, which also waits for the disk and for what else the
machine does. Parts: `scheduler` decides (verdicts, room in the budget), `ledger` records, `dispatch` carries trials,
events and verdicts between slots, proxies and driver (the pool's side of it, without Ray's messages), `search` asks and
tells, `MLflow` writes.

Claimed of scheduler, ledger and dispatch together, and exit 1 if not so: under 20 ms of CPU per trial, and no faster
growth than n log n. The rest is shown beside: an ask, memory, how far MLflow lags, and how many slots that bears.
"""

import argparse
import math
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.explicit_clock import run
from benchmarks.simulated_slots import TRIAL_S, Lag, Reading, simulated
from search_spaces.sweep_file import load
from sweeps.tracking.mirror import Tracking

CLAIMED = ("scheduler", "ledger", "dispatch")
MOST_S = 0.020
#: Growth is measured on a machine that does other things too.
NOISE = 1.2


def formula(config: dict[str, Any]) -> dict[str, float]:
    """What a trial reaches: more with memory and width, less with temperature."""
    accuracy = config["memory"]["size"] / 2000 - config["objective"]["temperature"] / 10
    accuracy += config["student"]["width"] / 100
    return {f"transfer/{name}": accuracy for name in ("knn_top1", "linear_top1", "few_shot_5")}


def claims(readings: list[Reading]) -> dict[str, bool]:
    last = readings[-1]
    found = {f"{last.trials:,} trials: under {MOST_S * 1e3:.0f} ms of CPU each": _claimed(last) < MOST_S * last.trials}
    for small, large in pairwise(readings):
        allowed = large.trials * math.log(large.trials) / (small.trials * math.log(small.trials))
        grown = _claimed(large) / _claimed(small)
        said = f"{large.trials:,} trials take {grown:.1f} times {small.trials:,}, n log n {allowed:.1f}"
        found[said] = grown <= NOISE * allowed
    return found


def _claimed(reading: Reading) -> float:
    return sum(reading.cpu_s[part] for part in CLAIMED)


def table(readings: list[Reading]) -> Table:
    parts = sorted(readings[-1].cpu_s, key=lambda part: (part not in CLAIMED, part))
    shown = Table("trials", *(f"{part} ms" for part in parts), "claimed ms", "MB", title="CPU (wall) per trial")
    for reading in readings:
        each = [
            f"{1e3 * reading.cpu_s.get(part, 0) / reading.trials:.1f} "
            f"({1e3 * reading.wall_s.get(part, 0) / reading.trials:.1f})"
            for part in parts
        ]
        claimed = f"{1e3 * _claimed(reading) / reading.trials:.1f}"
        shown.add_row(f"{reading.trials:,}", *each, claimed, f"{reading.rss / 1e6:.0f}")
    return shown


def saturation(readings: list[Reading], lag: Lag) -> list[str]:
    """How many slots a driver bears, by what the last trials took of it; and how far MLflow was behind."""
    small, large = readings[-2:]
    trials = large.trials - small.trials
    newest = {part: (large.cpu_s[part] - small.cpu_s.get(part, 0.0)) / trials for part in large.cpu_s}
    driver = sum(seconds for part, seconds in newest.items() if part != "MLflow")
    told = [
        f"an ask and what is told take {1e3 * newest['search']:.0f} ms at {large.trials:,} trials",
        f"at that size a driver is busy to the full with {1 / driver:.0f} trials a second: {TRIAL_S / driver:,.0f} "
        f"slots whose trials take {TRIAL_S / 60:.0f} minutes, {60 / driver:,.0f} whose trials take one",
    ]
    if lag.seconds:
        told.append(
            f"MLflow is {max(lag.seconds):.0f} s behind at most, {max(lag.events):,} events; one trial takes "
            f"{1e3 * newest['MLflow']:.0f} ms, so it keeps up with {1 / newest['MLflow']:.0f} trials a second at most"
        )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=1_000)
    parser.add_argument("--search", default="tpe")
    parser.add_argument("--mlflow", action="store_true", help="write MLflow too, which takes longest")
    parser.add_argument("--folder", type=Path, help="where the ledger is while it is measured")
    arguments = parser.parse_args()
    budget = f"budget={{trials: {arguments.trials}, cost_s: 1.0e+9, wall_hours: 1.0e+6}}"  # all kinds of caps are kept
    loaded = load(Path("search_spaces/digits.yaml"), [f"search={{name: {arguments.search}, seed: 0}}", budget])
    at = [arguments.trials // 10, arguments.trials * 3 // 10]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        aims = loaded.file.goals, loaded.file.constraints
        tracking = Tracking(uri, folder.as_uri(), "scale", "", *aims, "simulated") if arguments.mlflow else None
        readings, lag = run(simulated(folder / "scale", loaded, arguments.slots, formula, at, tracking))
    out = Console(width=None if sys.stdout.isatty() else 160)
    out.print(table(readings))
    for line in saturation(readings, lag):
        out.print(line, highlight=False)
    found = claims(readings)
    for claim, holds in found.items():
        out.print(f"{'holds' if holds else 'FAILS'}: {claim}", style=None if holds else "red", highlight=False)
    sys.exit(not all(found.values()))


if __name__ == "__main__":
    main()
