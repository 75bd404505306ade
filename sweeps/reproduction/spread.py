"""A trial with fresh seeds: how far its metrics are apart that way."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweeps.confirmation import plan
from sweeps.confirmation.replication import fresh_seed
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.reproduction.process import Again, Request, run_again, with_seed
from sweeps.results import Results
from trainables.metrics import of_this_run
from trainables.storage import Storage

#: Fewer seeds do not say how far seeds are apart.
LEAST_SEEDS = 5

_FILE = "seeds.json"


@dataclass(frozen=True)
class Spread:
    """Final metrics over fresh seeds: mean, sample standard deviation, least and most, beside what is recorded."""

    sweep: str
    trial: int
    seeds: list[int]
    metrics: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return vars(self)


def spread(
    sweep: str, trial: TrialRecord, request: Request, used: frozenset[int], count: int, where: tuple[Path, Results]
) -> Spread:
    """Train a trial with `count` fresh seeds, none of them `used`, as many at once as there are cores.

    `where` are the folder of the code and the storage. Raises `Refusal` if a seed fails.
    """
    seeds = [fresh_seed(sweep, trial.number, replicate, used) for replicate in range(count)]
    at_once = max(1, (os.cpu_count() or 1) // (request.threads * request.workers))
    with ThreadPoolExecutor(1 if request.gpus else at_once) as pool:
        outcomes = list(pool.map(lambda seed: run_again(with_seed(request, seed), *where), seeds))
    metrics = [_metrics(seed, again) for seed, again in zip(seeds, outcomes, strict=True)]
    return Spread(sweep, trial.number, seeds, dict(_summary(trial, metrics)))


def keep(folder: Storage, found: Spread) -> None:
    """Keep it beside the trial's reproductions, which are judged by it from then on."""
    folder.write(reproductions(found.trial, _FILE), json.dumps(found.to_json(), indent=2).encode())


def known_deviations(sweep: Ledger, results: Results, trial: int) -> dict[str, float]:
    """Standard deviations of final metrics over seeds, if enough were trained, here or by a confirmation."""
    try:
        kept = json.loads(Storage(results.folder(sweep.sweep)).read(reproductions(trial, _FILE)))
    except FileNotFoundError:
        kept = {"seeds": [], "metrics": {}}
    if len(kept["seeds"]) >= LEAST_SEEDS:
        return {name: summary["deviation"] for name, summary in kept["metrics"].items()}
    metrics = _confirmed(sweep, results, trial)
    if len(metrics) < LEAST_SEEDS:
        return {}
    return {name: float(np.std([each[name] for each in metrics], ddof=1)) for name in metrics[0]}


def _confirmed(sweep: Ledger, results: Results, trial: int) -> list[dict[str, float]]:
    """The final metrics of a trial's fresh seeds in the sweep's confirmation."""
    found = plan.find(sweep, results)
    if found is None:
        return []
    with found as confirmation:
        seeds = History.of(confirmation.events()).trials.values()
    return [each.metrics for each in seeds if each.state == "complete" and each.parameters["trial"] == trial]


def reproductions(trial: int, name: str) -> str:
    """The name of a file about the reproductions of a trial, in its sweep's folder."""
    return f"trials/{trial}/reproductions/{name}"


def _metrics(seed: int, again: Again) -> dict[str, float]:
    if again.outcome is None:
        raise Refusal(f"the spread needs seeds that end well, and with seed {seed} the trial failed: {again.failure}")
    return {name: value for name, value in again.outcome["metrics"].items() if not of_this_run(name)}


def _summary(trial: TrialRecord, metrics: Sequence[dict[str, float]]) -> Iterator[tuple[str, dict[str, float]]]:
    for name in metrics[0]:
        values = np.array([each[name] for each in metrics])
        recorded = {"recorded": trial.metrics[name]} if name in trial.metrics else {}
        yield (
            name,
            {
                **recorded,
                "mean": float(values.mean()),
                "deviation": float(values.std(ddof=1)),
                "least": float(values.min()),
                "most": float(values.max()),
            },
        )
