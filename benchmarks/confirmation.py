"""Can a confirmation be believed? Whole confirmations in simulation, where the truth is known.

A sweep measures each config once, with the noise of one seed, and its front is chosen by that; then the product's own
candidates, allocation and statistics run on fresh draws of the noise. Printed: how often a point that is given some
chance of standing on the true front does stand there, how often 95 % intervals hold the truth, and what choosing where
seeds go gains over giving each point the same. Exit 1 if a claim fails.

Truths are drawn from a formula, or with `--table` from real trials: random configs of `benchmarks.table`, whose mean
over three seeds then is the truth.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks import table as trials
from sweeps.confirmation.candidates import candidates
from sweeps.confirmation.membership import Aims, hypervolumes, on_front, worst
from sweeps.confirmation.posterior import draw_means
from sweeps.confirmation.replication import Replication
from sweeps.ledger.history import TrialRecord
from trainables.metrics import COST_S

ACCURACY = "transfer/knn_top1"
AIMS = Aims({ACCURACY: "maximize", COST_S: "minimize"}, {})

_DRAWS = 2000
_SEEDS = 5
_MOST_SEEDS = 1000  # that one config may be given
_BINS = np.array([0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What a sweep could find: for each config its expected accuracy, its cost, and the deviation of a seed."""

    accuracy: Floats
    cost: Floats
    deviation: Floats

    def of(self, configs: list[int]) -> Floats:
        """(configs, metrics)."""
        return np.stack([self.accuracy[configs], self.cost[configs]], axis=1)

    def measured(self, config: int, normal: float) -> dict[str, float]:
        """With the noise of one seed, given as a standard normal number."""
        noise = self.deviation[config] * normal
        return {ACCURACY: float(self.accuracy[config] + noise), COST_S: float(self.cost[config])}


def synthetic(rng: np.random.Generator) -> Truth:
    """The trials that a sweep of digits completes: accuracy saturates over cost, and most configs stay below.

    Seeds deviate by 0.01 to 0.02 on average, some configs twice and some half as much (benchmarks/README.md, headroom).
    """
    trials = int(rng.integers(20, 61))
    octaves = rng.uniform(0, np.log(20), trials)
    best = 0.5 + 0.16 * (1 - np.exp(-octaves / rng.uniform(0.8, 2.5)))
    below = rng.exponential(rng.uniform(0.01, 0.06), trials)
    deviation = rng.uniform(0.01, 0.02) * np.exp(rng.normal(0, 0.4, trials))
    return Truth(best - below, 0.03 * np.exp(octaves), deviation)


def tabulated(table: trials.Table, rng: np.random.Generator) -> Truth:
    """As many random configs of the table, with its pooled deviation of seeds."""
    configs = rng.choice(len(table.cost_C), int(rng.integers(20, 61)), replace=False)
    deviation = np.sqrt(table.accuracy_CSR[:, :, -1].var(axis=1, ddof=1).mean())
    return Truth(table.truth_C[configs], table.cost_C[configs], np.full(len(configs), deviation))


@dataclass(frozen=True)
class Outcome:
    """What was said of the points of one confirmation, and whether it is so; arrays are by point."""

    chance: Floats
    stands: NDArray[np.bool_]
    held: NDArray[np.bool_]
    volume_held: bool
    seeds: float

    @property
    def error(self) -> float:
        """Mean squared difference of chance and truth (Brier 1950), summed over points: how much is left unclear."""
        return float(np.square(self.chance - self.stands).sum())


def outcomes(world: int, table: trials.Table | None) -> tuple[Outcome, Outcome]:
    """One sweep, confirmed where seeds tell most, and with as many seeds equally on the same points."""
    rng = np.random.default_rng(world)
    truth = synthetic(rng) if table is None else tabulated(table, rng)
    # Replicate after replicate of each config, the first for the sweep: both ways of confirming meet the same noise.
    noise = rng.standard_normal((len(truth.cost), 1 + _MOST_SEEDS))
    swept = [_complete(config, truth.measured(config, normal[0])) for config, normal in enumerate(noise)]
    points = _replicated(candidates(swept, AIMS), truth, noise[:, 1:])
    total = sum(map(len, points.values()))
    counts = [total // len(points) + (place < total % len(points)) for place in range(len(points))]
    equal = {
        config: np.array([_row(truth.measured(config, normal)) for normal in noise[config, 1 : 1 + count]])
        for config, count in zip(points, counts, strict=True)
    }
    return _judged(points, truth), _judged(equal, truth)


def _replicated(chosen: list[tuple[TrialRecord, bool]], truth: Truth, noise: Floats) -> dict[int, Floats]:
    """The product's own search, to its end: values (seeds, metrics) of each config that it trained."""
    points = [
        {"trial": trial.number, "on_front": on_front, "values": _row(trial.metrics).tolist(), "config": {}}
        for trial, on_front in chosen
    ]
    confirms = {"sweep": "simulated", "seeds": _SEEDS, "used_seeds": [], "points": points}
    search = Replication(confirms, AIMS)
    values: dict[int, list[Floats]] = {}
    while len(points) * _SEEDS > search.trials and (suggestion := search.ask(search.trials)) is not None:
        config = suggestion.parameters["trial"]
        metrics = truth.measured(config, noise[config, suggestion.parameters["replicate"]])
        search.tell(search.trials - 1, "complete", metrics)
        values.setdefault(config, []).append(_row(metrics))
    return {config: np.array(seeds) for config, seeds in values.items()}


def _judged(points: dict[int, Floats], truth: Truth) -> Outcome:
    draws = draw_means(list(points.values()), AIMS.exact, _DRAWS)
    true = truth.of(list(points))
    low, high = np.quantile(draws[..., 0], (0.025, 0.975), axis=0)
    reference = worst(draws.mean(axis=0), AIMS)
    least, most = np.quantile(hypervolumes(draws, AIMS, reference), (0.025, 0.975))
    return Outcome(
        chance=on_front(draws, AIMS).mean(axis=0),
        stands=on_front(true[None], AIMS)[0],
        held=(low <= true[:, 0]) & (true[:, 0] <= high),
        volume_held=bool(least <= hypervolumes(true[None], AIMS, reference)[0] <= most),
        seeds=float(np.mean([len(each) for each in points.values()])),
    )


def _row(metrics: dict[str, float]) -> Floats:
    return np.array([metrics[name] for name in AIMS.metrics])


def _complete(number: int, metrics: dict[str, float]) -> TrialRecord:
    return TrialRecord(
        number=number,
        config={},
        config_digest="",
        parameters={},
        distributions={},
        sampler_attributes={},
        compute={COST_S: metrics[COST_S]},
        rungs=[1.0],
        told=0,
        planned=datetime(2026, 1, 1, tzinfo=UTC),
        state="complete",
        metrics=metrics,
    )


def _share(hits: NDArray[np.bool_] | list[bool]) -> tuple[float, float, float]:
    """A share and its 95 % interval (Clopper and Pearson 1934)."""
    interval = stats.binomtest(int(np.sum(hits)), len(hits)).proportion_ci()
    return float(np.mean(hits)), float(interval.low), float(interval.high)


def reliability(chance: Floats, stands: NDArray[np.bool_]) -> tuple[Table, float]:
    """Chances in classes beside how often such points stand on the true front; the mean difference over points."""
    table = Table(
        "chance said", "mean", "points", "on the true front", "95 %", title="Reliability", title_justify="left"
    )
    classes = np.clip(np.searchsorted(_BINS, chance, side="right") - 1, 0, len(_BINS) - 2)
    apart = 0.0
    for place in np.unique(classes):
        inside = classes == place
        share, low, high = _share(stands[inside])
        said = chance[inside].mean()
        apart += abs(share - said) * inside.mean()
        span = f"{_BINS[place]:.2f} to {_BINS[place + 1]:.2f}"
        table.add_row(span, f"{said:.3f}", str(inside.sum()), f"{share:.3f}", f"{low:.3f} to {high:.3f}")
    return table, apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=120, help="simulated sweeps")
    parser.add_argument("--table", action="store_true", help="truths from benchmarks/digits_table.parquet")
    arguments = parser.parse_args()
    table = trials.Table.read() if arguments.table else None
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        pairs = list(pool.map(partial(outcomes, table=table), range(arguments.repeats), chunksize=4))
    adaptive, equal = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    chance = np.concatenate([one.chance for one in adaptive])
    shown, apart = reliability(chance, np.concatenate([one.stands for one in adaptive]))
    means, volumes = (
        _share(np.concatenate([one.held for one in adaptive])),
        _share([one.volume_held for one in adaptive]),
    )
    gains = np.array([same.error - own.error for own, same in pairs])
    margin = stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains)
    error = np.mean([one.error for one in equal])
    out = Console(width=None if sys.stdout.isatty() else 120)
    out.print(shown)
    out.print(
        f"{len(adaptive)} sweeps, {len(chance)} points, {np.mean([one.seeds for one in adaptive]):.2f} seeds each"
    )
    claims = [
        (f"chances and shares differ by {apart:.3f} on average, at most 0.05", apart <= 0.05),
        (f"95 % intervals hold {_written(means)} of the means, 0.93 to 0.98", 0.93 <= means[0] <= 0.98),
        (f"95 % intervals hold {_written(volumes)} of the hypervolumes, 0.95 within its interval", volumes[2] >= 0.95),
        (
            f"choosing where seeds go lowers the error of {error:.3f} per sweep by {gains.mean():.3f} ± {margin:.3f}",
            gains.mean() > margin,
        ),
    ]
    for text, holds in claims:
        out.print(f"{'holds ' if holds else 'FAILS '} {text}", style="green" if holds else "red", highlight=False)
    raise SystemExit(0 if all(holds for _, holds in claims) else 1)


def _written(share: tuple[float, float, float]) -> str:
    return f"{share[0]:.3f} ({share[1]:.3f} to {share[2]:.3f})"


if __name__ == "__main__":
    main()
