"""A ledger with an MLflow beside it, for tests of the one that mirrors the other."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run

from sweeps.ledger.store import Ledger
from sweeps.tracking.mirror import Tracking, sync
from tests.sweeps import stories


def datasets(run: Run) -> list[DatasetInput]:
    assert run.inputs is not None
    return run.inputs.dataset_inputs


class Place:
    """A ledger, and an MLflow to mirror it into."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.ledger = Ledger.create(folder / "sweep", "sweep", {})
        self.ledger.claim()
        self.tracking = Tracking(
            uri=uri,
            artifacts=(folder / "artifacts").as_uri(),
            experiment="digits",
            description="# A sweep",
            goals=stories.GOALS,
            constraints={},
            dataset="digits",
        )
        self.client = MlflowClient(tracking_uri=uri)

    def tell(self, *events: Any) -> None:
        for event in events:
            assert self.ledger.append(event) is not None

    def sync(self, rebuild: bool = False) -> int:
        return sync(self.ledger.location, self.tracking, rebuild)

    def runs(self, where: str = "") -> list[Run]:
        experiment = self.client.get_experiment_by_name("digits")
        assert experiment is not None
        return list(self.client.search_runs([experiment.experiment_id], where, order_by=["attributes.start_time ASC"]))

    def trials(self) -> dict[int, Run]:
        children = [run for run in self.runs() if "trial" in run.data.tags]
        trials = {int(run.data.tags["trial"]): run for run in children}
        assert len(trials) == len(children), "a trial has two runs"
        return trials

    def points(self, run: Run, metric: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, metric)]

    def content(self) -> dict[str, Any]:
        """All that MLflow holds of the sweep and its trials, without the identifiers that it makes up itself."""
        self.trials()
        return {
            run.data.tags.get("trial", "sweep"): {
                "name": run.info.run_name,
                "status": run.info.status,
                "times": (run.info.start_time, run.info.end_time),
                "params": run.data.params,
                "tags": {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"},
                "points": {
                    name: [
                        (point.step, point.timestamp, point.value)
                        for point in self.client.get_metric_history(run.info.run_id, name)
                    ]
                    for name in run.data.metrics
                },
                "inputs": [vars(each.dataset) for each in datasets(run)],
                "files": [file.path for file in self.client.list_artifacts(run.info.run_id)],
            }
            for run in self.runs()
        }
