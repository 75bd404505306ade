"""MLflow as a reader of pages needs it: which sweeps it has, the tables that it keeps of one, and where a run is."""

import tempfile
from pathlib import Path

from sweeps.export.files import FOLDER, read
from sweeps.export.tables import SweepTables
from sweeps.results import Results
from sweeps.tracking.of_sweep import EXPERIMENT, artifacts
from sweeps.tracking.runs import Runs
from sweeps.tracking.uri import tracking_uri


class Browsing:
    """Read-only, but that the experiment of all sweeps is made where there is none. Raises what MLflow raises."""

    def __init__(self, results: Results) -> None:
        self._runs = Runs(tracking_uri(results), EXPERIMENT, artifacts(results))

    def sweeps(self) -> list[str]:
        """Ids of the sweeps, the newest first."""
        return list(dict.fromkeys(self._runs.sweeps().values()))

    def tables(self, sweep: str) -> SweepTables:
        """What the newest run of that name keeps. KeyError without a run, OSError without tables."""
        run = next((run for run, name in self._runs.sweeps().items() if name == sweep), None)
        if run is None:
            raise KeyError(sweep)
        with tempfile.TemporaryDirectory() as folder:
            return read(self._runs.download(run, FOLDER, Path(folder)))

    def page(self, ledger: str, trial: int) -> str | None:
        """Where MLflow's pages show a trial, after their own address; None if it has no run of it."""
        run = self._runs.of_trial(ledger, trial)
        return run and f"#/experiments/{self._runs.experiment}/runs/{run}"
