"""Reproductions in MLflow: a run for each, below the trial's own; and trials by the id of their run."""

from collections.abc import Mapping
from typing import Any

from sweeps.refusals import Refusal
from sweeps.tracking.connection import connected, trial_run
from sweeps.tracking.mirror import PARENT, Tracking
from sweeps.tracking.runs import LEDGER

#: Tag of a reproduction: its verdict. The trial's own run has that of its last one.
VERDICT = "reproduction"


def log_reproduction(
    tracking: Tracking, ledger: str, trial: int, verdict: str, record: dict[str, Any], metrics: Mapping[str, float]
) -> str:
    """A run with the record as a file, linked to the run of the trial; its id. Raises `Refusal` if MLflow does not."""
    with connected(tracking.uri) as client:
        original = trial_run(client, tracking, ledger, trial)
        tags = {
            PARENT: original.info.run_id,
            "reproduces": original.info.run_id,
            "reproduces.sweep": record["sweep"],
            "reproduces.trial": str(trial),
            VERDICT: verdict,
        }
        name = f"{original.info.run_name}-{'seeds' if verdict == 'seeds' else 'reproduction'}"
        run = client.create_run(original.info.experiment_id, tags=tags, run_name=name)
        for metric, value in metrics.items():
            client.log_metric(run.info.run_id, metric, value)
        client.log_dict(run.info.run_id, record, "seeds.json" if verdict == "seeds" else "reproduction.json")
        client.set_terminated(run.info.run_id, "FAILED" if verdict == "failed" else "FINISHED")
        if verdict != "seeds":
            client.set_tag(original.info.run_id, VERDICT, verdict)
        return str(run.info.run_id)


def sweep_and_trial(uri: str, run: str) -> tuple[str, int, str]:
    """The sweep, the trial's number and the ledger's uid of a run. Raises `Refusal` if it is the run of no trial."""
    with connected(uri) as client:
        tags = client.get_run(run).data.tags
    if "sweep" not in tags or "trial" not in tags:
        raise Refusal(
            f"a run to reproduce is that of a trial, and {run} is none. Open the trial in MLflow, or give SWEEP:TRIAL"
        )
    return tags["sweep"], int(tags["trial"]), tags[LEDGER]
