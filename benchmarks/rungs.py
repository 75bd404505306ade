"""What a rung says about the end: rank correlations of trials on digits, by the schedule of the learning rate.

    python -m benchmarks.rungs [--trials 150] [--storage results]

The same random configs of `benchmarks/digits_table.yaml` are trained under each schedule, as sweeps of their own that
go on where they were interrupted. Printed is Spearman's correlation between the accuracy at each rung and at the end,
with a 95 % interval by bootstrap over configs. With `benchmarks/digits_table.parquet` at hand, its 2,000 configs too.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, spearmanr

from benchmarks.table import ACCURACY, FIDELITIES, PARQUET, SWEEP_FILE, Table
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger

SCHEDULES = {
    "constant, averaged": ["schedule=constant", "averaging=8"],
    "constant": ["schedule=constant", "averaging=null"],
    "cosine": ["schedule=cosine", "averaging=null"],
    "steps": ["schedule=steps", "averaging=null"],
}


def trained(schedule: str, trials: int, storage: Path) -> NDArray[np.float64]:
    """Accuracy of each trial at each rung, (trials, rungs)."""
    sweep = f"rungs-{schedule.replace(', ', '-')}"
    if (storage / sweep / "ledger.db").exists():
        command = ["resume", sweep]
    else:
        settings = [f"--set=trial.optimizer.{setting}" for setting in SCHEDULES[schedule]]
        settings += [f"--set=name={sweep}", "--set=search={name: random}", f"--set=budget.trials={trials}"]
        command = ["run", str(SWEEP_FILE), *settings, "--id", sweep]
    subprocess.run([sys.executable, "-m", "sweeps", *command, "--storage", str(storage)], check=True, stdout=sys.stderr)
    with Ledger.open(storage / sweep) as ledger:
        found = [t for t in History.of(ledger.events()).trials.values() if t.state == "complete"]
    return np.array([[t.reports[rung].metrics[ACCURACY] for rung in range(len(FIDELITIES))] for t in found])


def correlation(rung: NDArray[np.float64], end: NDArray[np.float64]) -> str:
    def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float(spearmanr(one, other).statistic)

    found = bootstrap(
        (rung, end), rank_correlation, paired=True, vectorized=False, n_resamples=1000, rng=np.random.default_rng(0)
    ).confidence_interval
    return f"{rank_correlation(rung, end):.2f} ({found.low:.2f} to {found.high:.2f})"


def line(name: str, accuracy_NR: NDArray[np.float64]) -> str:
    found = [correlation(accuracy_NR[:, rung], accuracy_NR[:, -1]) for rung in range(accuracy_NR.shape[1] - 1)]
    end = accuracy_NR[:, -1]
    return "| " + " | ".join([name, str(len(end)), *found, f"{end.mean():.3f}", f"{end.max():.3f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--storage", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    measured = {name: trained(name, arguments.trials, arguments.storage) for name in SCHEDULES}
    if PARQUET.exists():
        measured["the table: constant, averaged"] = Table.read().accuracy_CSR.mean(axis=1)
    print(
        "| schedule | trials | " + " | ".join(f"at {share:g}" for share in FIDELITIES[:-1]) + " | mean end | best end |"
    )
    print("|---|---|" + "---|" * (len(FIDELITIES) + 1))
    for name, accuracy_NR in measured.items():
        print(line(name, accuracy_NR))


if __name__ == "__main__":
    main()
