"""The tabulated benchmark of search: 2,000 configs of contrastive distillation on digits, each with three seeds.

    python -m benchmarks.table [--storage results] [--slots auto]

runs the grid of `benchmarks/digits_table.yaml` once for each seed, as sweeps of their own that go on where they were
interrupted, and writes `benchmarks/digits_table.parquet`: a row for each config and seed, with what was swept, planned
compute, the validation accuracy at each rung (fidelity 1/8, 1/4, 1/2, 1) and the test accuracy at the end.
"""

import argparse
import itertools
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from search_spaces.sweep_file import load
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from trainables.metrics import COST_S, FLOPS, PEAK_BYTES, on_test

SWEEP_FILE = Path("benchmarks/digits_table.yaml")
PARQUET = Path("benchmarks/digits_table.parquet")
ACCURACY = "transfer/knn_top1"
SEEDS = (0, 1, 2)
FIDELITIES = (0.125, 0.25, 0.5, 1.0)
POINTS = 5  # into which the grid divides each range
SWEPT = ("width", "temperature", "memory", "negatives", "learning_rate")


@dataclass(frozen=True)
class Table:
    """Every config (C of them), seed (S) and rung (R): what was swept, what it costs, and what it reached.

    `swept_C5` has the columns of `SWEPT`; accuracies are of the validation split, but for `test_CS`.
    """

    swept_C5: NDArray[np.float64]
    cost_C: NDArray[np.float64]
    flops_C: NDArray[np.float64]
    peak_bytes_C: NDArray[np.float64]
    accuracy_CSR: NDArray[np.float64]
    test_CS: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path = PARQUET) -> "Table":
        """The table of a file; the order of its rows does not matter."""
        order = [(name, "ascending") for name in (*SWEPT, "seed")]
        rows = {name: np.asarray(column) for name, column in pq.read_table(path).sort_by(order).to_pydict().items()}
        seeds = len(set(rows["seed"]))
        first = {name: column.reshape(-1, seeds)[:, 0] for name, column in rows.items()}
        accuracy = np.stack([rows[f"accuracy_{rung}"].reshape(-1, seeds) for rung in range(len(FIDELITIES))], axis=2)
        return cls(
            np.stack([first[name] for name in SWEPT], axis=1).astype(np.float64),
            first["cost_s"],
            first["train_flops"],
            first["peak_bytes"],
            accuracy,
            rows["test"].reshape(-1, seeds),
        )

    @cached_property
    def truth_C(self) -> NDArray[np.float64]:
        """The mean over the seeds of what is reached at the end."""
        return np.asarray(self.accuracy_CSR[:, :, -1].mean(axis=1))

    @cached_property
    def _places(self) -> dict[tuple[float, ...], int]:
        return {tuple(row): place for place, row in enumerate(self.swept_C5.tolist())}

    def place(self, config: Mapping[str, Any]) -> int:
        """Which of the C configs a trial's config is."""
        return self._places[swept(config)]


def swept(config: Mapping[str, Any]) -> tuple[float, ...]:
    """What was swept, of a trial's config."""
    return (
        float(config["student"]["width"]),
        float(config["objective"]["temperature"]),
        float(config["memory"]["size"]),
        float(config["negatives"]["count"]),
        float(config["optimizer"]["learning_rate"]),
    )


def row(trial: TrialRecord, seed: int) -> dict[str, float]:
    """What the table keeps of a trial."""
    return {
        **dict(zip(SWEPT, swept(trial.config), strict=True)),
        "seed": seed,
        "cost_s": trial.compute[COST_S],
        "train_flops": trial.compute[FLOPS],
        "peak_bytes": trial.compute[PEAK_BYTES],
        **{f"accuracy_{rung}": trial.reports[rung].metrics[ACCURACY] for rung in range(len(FIDELITIES))},
        "test": trial.metrics[on_test(ACCURACY)],
    }


def sweep_id(seed: int) -> str:
    return f"digits-table-{seed}"


def train(storage: Path, seed: int, slots: str) -> None:
    """Run the sweep of a seed, or what is left of it."""
    sweep = sweep_id(seed)
    if (storage / sweep / "ledger.db").exists():
        command = ["resume", sweep]
    else:
        overrides = [f"--set=name={sweep}", f"--set=trial.seed={seed}", f"--set=resources.slots={slots}"]
        command = ["run", str(SWEEP_FILE), *overrides, "--id", sweep]
    subprocess.run([sys.executable, "-m", "sweeps", *command, "--storage", str(storage)], check=True)


def rows(storage: Path, seed: int) -> list[dict[str, float]]:
    """The trials of a seed's sweep. Raises SystemExit if one is missing."""
    with Ledger.open(storage / sweep_id(seed)) as ledger:
        trials = History.of(ledger.events()).trials.values()
    complete = [trial for trial in trials if trial.state == "complete"]
    wanted = load(SWEEP_FILE).file.budget.trials
    if len(complete) != wanted:
        raise SystemExit(f"a table is whole, and seed {seed} has {len(complete)} of {wanted} trials; run this again")
    return [row(trial, seed) for trial in complete]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", type=Path, default=Path("results"))
    parser.add_argument("--slots", default="auto")
    arguments = parser.parse_args()
    for seed in SEEDS:
        train(arguments.storage, seed, arguments.slots)
    found = list(itertools.chain.from_iterable(rows(arguments.storage, seed) for seed in SEEDS))
    pq.write_table(pa.Table.from_pylist(found), PARQUET, compression="zstd")
    print(f"{len(found)} rows in {PARQUET}, {PARQUET.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
