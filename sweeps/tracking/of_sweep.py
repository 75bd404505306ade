"""Where a sweep goes in MLflow, and how it introduces itself there."""

from pathlib import Path
from typing import Any

from sweeps.confirmation.plan import CONFIRMS
from sweeps.constraints import constraints_of
from sweeps.results import Results
from sweeps.tracking.mirror import Tracking
from sweeps.tracking.uri import tracking_uri

EXPERIMENT = "contrastive-sweeps"


def tracking(sweep: str, spec: dict[str, Any], results: Results) -> Tracking:
    """Names and places for a sweep's mirror. Raises `Refusal` if ``MLFLOW_TRACKING_URI`` is not usable."""
    return Tracking(
        uri=tracking_uri(results),
        artifacts=_artifacts(results),
        experiment=EXPERIMENT,
        description=_description(sweep, spec),
        goals=spec["file"]["goals"],
        constraints=constraints_of(spec["file"]),
        dataset=str(spec["file"]["trial"].get("task", {}).get("name", "digits")),
    )


def _artifacts(results: Results) -> str:
    place = f"{results.absolute}/artifacts"
    return Path(place).as_uri() if results.is_local else place


def _description(sweep: str, spec: dict[str, Any]) -> str:
    goals = ", ".join(f"{way} `{goal}`" for goal, way in spec["file"]["goals"].items())
    return "\n\n".join(
        [
            f"## {sweep}",
            spec["file"]["description"].strip() or spec["file"]["name"],
            f"Goals: {goals}. {_reading(spec)}",
            f"```\npython -m sweeps front {sweep}\npython -m sweeps best {sweep}\npython -m sweeps resume {sweep}\n```",
            f"```yaml\n{spec['source'].strip()}\n```",
        ]
    )


def _reading(spec: dict[str, Any]) -> str:
    if CONFIRMS in spec:
        return f"Each trial is one fresh seed of a point; `python -m sweeps confirm {spec[CONFIRMS]['sweep']}` sums up."
    return "Trials on the front carry the tag `on_front = true`."
