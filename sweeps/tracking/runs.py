"""The runs of one experiment of MLflow, in plain values: nothing else of a sweep's mirror imports mlflow."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from sweeps.tracking.database import create_database
from sweeps.tracking.run_content import Point, milliseconds

if TYPE_CHECKING:
    from mlflow import MlflowClient, entities

SEQ = "seq"  # tags of ours
LEDGER = "ledger"
TRIALS = "trials"  # of sweeps: how many trials they have

NOTHING: Mapping[str, str] = MappingProxyType({})

#: Of an experiment: else MLflow takes one without models for an evaluation of prompts, and shows it so.
_OF_TRAINING = {"mlflow.experimentKind": "custom_model_development"}

_TERMINAL = {"FINISHED", "KILLED", "FAILED"}
_DATASET_DIGEST_LIMIT = 36

# Together at most what MLflow takes in one `log_batch`: 1000 entities, of them 100 params and 100 tags.
_METRICS_PER_BATCH, _PARAMS_PER_BATCH, _TAGS_PER_BATCH = 800, 100, 100

T = TypeVar("T")


@dataclass
class Run:
    """What a run in MLflow is known to hold."""

    id: str
    seq: int = 0
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)


class Runs:
    """Runs of one experiment, in plain values. What a run is known to hold is not sent to it again."""

    def __init__(self, uri: str, experiment: str, artifacts: str) -> None:
        quieten()
        # Takes seconds, in the writer's thread.
        import mlflow
        from mlflow import entities

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # its own setting is read too early for some of it
        self._entities = entities
        create_database(uri, mlflow.MlflowClient)
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        served = urlsplit(uri).scheme in {"http", "https", "databricks"}
        self.experiment = self._find_experiment(experiment, None if served else artifacts)

    def _find_experiment(self, name: str, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return self._client.create_experiment(name, artifacts, tags=_OF_TRAINING)
        if found.lifecycle_stage == self._entities.LifecycleStage.DELETED:
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def find(self, ledger: str) -> tuple[Run | None, dict[int, Run]]:
        """A sweep's run and those of its trials, by number. Of a run that a lost answer doubled, one is kept."""
        found: dict[int | None, Run] = {}
        token: str | None = None
        while True:
            page = self._client.search_runs([self.experiment], f"tags.{LEDGER} = '{ledger}'", page_token=token)
            for run in page:
                trial = int(run.data.tags["trial"]) if "trial" in run.data.tags else None
                one = Run(run.info.run_id, int(run.data.tags.get(SEQ, 0)), run.info.status, dict(run.data.tags))
                if trial in found:
                    worse, one = sorted((one, found[trial]), key=lambda known: known.seq)
                    self.delete(worse)
                found[trial] = one
            token = page.token
            if not token:
                break
        sweep_run = found.pop(None, None)
        return sweep_run, {number: run for number, run in found.items() if number is not None}

    def sweeps(self) -> dict[str, str]:
        """The ids of sweeps by their run, the newest first."""
        found = self._client.search_runs(
            [self.experiment], f"tags.{TRIALS} != ''", order_by=["attributes.start_time DESC"]
        )
        return {run.info.run_id: run.data.tags["sweep"] for run in found if "sweep" in run.data.tags}

    def of_trial(self, ledger: str, trial: int) -> str | None:
        """The id of the run of a trial."""
        found = run_of_trial(self._client, self.experiment, ledger, trial)
        return str(found.info.run_id) if found else None

    def download(self, run: str, name: str, folder: Path) -> Path:
        """A file or a folder of a run, below `folder`. Raises OSError if the run has none of that name."""
        return Path(self._client.download_artifacts(run, name, str(folder)))

    def create(self, name: str, started: datetime, tags: dict[str, str]) -> Run:
        """A new run, findable by its tags from its first instant on."""
        run = self._client.create_run(self.experiment, milliseconds(started), tags, name)
        return Run(run.info.run_id, tags=dict(tags))

    def delete(self, run: Run) -> None:
        """Move a run to MLflow's bin."""
        self._client.delete_run(run.id)

    def set_status(self, run: Run, status: str, ended: datetime | None) -> None:
        """Give a run its status, and its end if the status is a final one."""
        if status == run.status:
            return
        if status in _TERMINAL and ended is not None:
            self._client.set_terminated(run.id, status, milliseconds(ended))
        else:
            self._client.update_run(run.id, status)
        run.status = status

    def log(
        self,
        run: Run,
        points: Sequence[Point] = (),
        params: Mapping[str, str] = NOTHING,
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        """Add metrics, params and those tags that the run does not have yet, in as few calls as MLflow allows."""
        new = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        metrics = [self._entities.Metric(point.name, point.value, point.at_ms, point.step) for point in points]
        some_metrics = _chunks(metrics, _METRICS_PER_BATCH)
        some_params = _chunks([self._entities.Param(*item) for item in params.items()], _PARAMS_PER_BATCH)
        some_tags = _chunks([self._entities.RunTag(*item) for item in new.items()], _TAGS_PER_BATCH)
        # Counted from the back, so that the last tag is in the last call.
        for back in range(max(len(some_metrics), len(some_params), len(some_tags)), 0, -1):
            self._client.log_batch(
                run.id, _from_back(some_metrics, back), _from_back(some_params, back), _from_back(some_tags, back)
            )
        run.tags.update(new)

    def log_json(self, run: Run, value: dict[str, Any], name: str) -> None:
        """Plain values as a file of the run."""
        self._client.log_dict(run.id, value, name)

    def log_text(self, run: Run, text: str, name: str) -> None:
        """A text as a file of the run."""
        self._client.log_text(run.id, text, name)

    def log_folder(self, run: Run, folder: Path) -> None:
        """All files of a folder, by their names in it."""
        self._client.log_artifacts(run.id, str(folder))

    def log_dataset(self, run: Run, name: str, digest: str) -> None:
        """What the run was trained on. MLflow keeps 36 characters of the digest."""
        source = json.dumps({"task": name, "digest": digest})
        dataset = self._entities.Dataset(name, digest[:_DATASET_DIGEST_LIMIT], "code", source)
        context = self._entities.InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run.id, [self._entities.DatasetInput(dataset, [context])])


def run_of_trial(client: "MlflowClient", experiment: str, ledger: str, trial: int) -> "entities.Run | None":
    """What MLflow holds of a trial of the ledger with this uid; None if it has no run of it."""
    where = f"tags.{LEDGER} = '{ledger}' and tags.trial = '{trial}'"
    found: list[entities.Run] = client.search_runs([experiment], where, max_results=1)
    return found[0] if found else None


def _chunks(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _from_back(chunks: list[list[T]], back: int) -> list[T]:
    return chunks[-back] if back <= len(chunks) else []


def quieten() -> None:
    """No usage reports, no chatter, no waiting for a dead server: MLflow takes these from the environment alone.

    And nothing is unpickled, whatever the environment says: nothing of a sweep is a pickle.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)
