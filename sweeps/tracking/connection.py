"""A client of MLflow for what is asked of it now and then, in the foreground; trials get there by the mirror alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from search_spaces.secrets import redacted
from sweeps.refusals import Refusal
from sweeps.tracking.database import create_database
from sweeps.tracking.mirror import Tracking
from sweeps.tracking.runs import quieten, run_of_trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@contextmanager
def connected(uri: str) -> Iterator["MlflowClient"]:
    """MLflow, runs and models alike. What it raises in the block becomes a `Refusal`."""
    quieten()
    import mlflow  # takes seconds

    try:
        create_database(uri, mlflow.MlflowClient)
        yield mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    except Refusal:
        raise
    except Exception as error:  # what MLflow raises has no common base
        raise Refusal(
            f"MLflow at {redacted(uri)} must answer, and does not ({type(error).__name__}: {redacted(str(error))}). "
            "Mend that, then try again"
        ) from error


def trial_run(client: "MlflowClient", tracking: Tracking, ledger: str, trial: int) -> "Run":
    """The run of a trial of the ledger with this uid. Raises `Refusal` if MLflow does not hold it."""
    experiment = client.get_experiment_by_name(tracking.experiment)
    found = experiment and run_of_trial(client, experiment.experiment_id, ledger, trial)
    if not found:
        raise Refusal(
            f"MLflow must hold the trial, and does not hold trial {trial}. First: python -m sweeps sync, with the "
            "--storage that holds the sweep"
        )
    return found
