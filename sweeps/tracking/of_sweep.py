"""Where a sweep goes in MLflow, and how it introduces itself there."""

from functools import partial
from pathlib import Path
from typing import Any

from sweeps.confirmation.plan import CONFIRMS
from sweeps.constraints import constraints_of
from sweeps.export.shareable import shareable
from sweeps.results import PLACEHOLDER, UNTOLD, Results
from sweeps.tracking.mirror import Tracking
from sweeps.tracking.pages_of_sweep import write_pages
from sweeps.tracking.uri import tracking_uri

EXPERIMENT = "contrastive-sweeps"

#: Commands that take a sweep from here, in the order in which one wants them.
_NEXT = ("front", "confirm", "best", "report", "export", "resume")


def tracking(sweep: str, spec: dict[str, Any], results: Results) -> Tracking:
    """Names and places for a sweep's mirror. Raises `Refusal` if ``MLFLOW_TRACKING_URI`` is not usable."""
    return Tracking(
        uri=tracking_uri(results),
        artifacts=artifacts(results),
        experiment=EXPERIMENT,
        description=_description(sweep, spec, results.shareable_flag),
        goals=spec["file"]["goals"],
        constraints=constraints_of(spec["file"]),
        dataset=str(spec["file"]["trial"].get("task", {}).get("name", "digits")),
        source=shareable(spec["source"]),
        storage_flag=results.shareable_flag,
        pages=partial(write_pages, sweep, results),
    )


def artifacts(results: Results) -> str:
    """The URI where files go when MLflow is a database."""
    place = f"{results.absolute}/artifacts"
    return Path(place).as_uri() if results.is_local else place


def _description(sweep: str, spec: dict[str, Any], storage_flag: str) -> str:
    commands = "\n".join(f"python -m sweeps {command} {sweep}{storage_flag}" for command in _NEXT)
    goals = ", ".join(f"{way} `{goal}`" for goal, way in spec["file"]["goals"].items())
    return "\n\n".join(
        [
            f"## {sweep}",
            shareable(spec["file"]["description"].strip() or spec["file"]["name"]),
            f"Goals: {goals}. {_reading(spec, storage_flag)}",
            f"```\n{commands}\n```",
            *([f"`{PLACEHOLDER}` is the folder that holds the sweep."] if storage_flag == UNTOLD else []),
        ]
    )


def _reading(spec: dict[str, Any], storage_flag: str) -> str:
    if CONFIRMS in spec:
        confirm = f"python -m sweeps confirm {spec[CONFIRMS]['sweep']}{storage_flag}"
        return f"Each trial is one fresh seed of a point; `{confirm}` sums up."
    return "Trials on the front carry the tag `on_front = true`."
