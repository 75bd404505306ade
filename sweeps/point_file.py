"""A sweep file of one point: what `best --emit` writes, and `run` trains as it was trained."""

from pathlib import Path
from typing import Any

import yaml

from search_spaces.draws import CornerDraw
from search_spaces.sweep_file import load
from sweeps.ledger.history import TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from trainables.config import TrialConfig

#: A key of the config that a sweep file has under `resources`.
_WORKERS = "workers"


def write_point(path: Path, ledger: Ledger, trial: TrialRecord) -> None:
    """Write it, and read it again to see that it means the trial's own config.

    Raises `Refusal` where a file is there already, and where this version no longer reads that config as it was meant.
    """
    file = ledger.spec["file"]
    name = f"{file['name'][:50].rstrip('-')}-{trial.number}"
    document: dict[str, Any] = {
        "name": name,
        "description": f"Trial {trial.number} of {ledger.sweep}, alone.",
        "trial": {key: value for key, value in trial.config.items() if key != _WORKERS},
        "goals": file["goals"],
        "search": {"name": "random"},
        "budget": {"trials": 1},
        "resources": {**file.get("resources", {}), "slots": 1},
    }
    source = f"# To train it: python -m sweeps run {path.name}\n{yaml.safe_dump(document, sort_keys=False)}"
    try:
        with path.open("x") as new:
            new.write(source)
    except OSError as error:
        raise Refusal(
            f"--emit names a new file, and {path} cannot be written: {error.strerror}. Give another"
        ) from error
    config = TrialConfig.model_validate(load(path).space.suggest(CornerDraw(False, {})))
    if config.digest() != trial.config_digest:
        path.unlink()
        raise Refusal(
            f"a point's file means the config that was trained, digest {trial.config_digest}, and this version of the "
            f"program reads it as {config.digest()}. Use the version that ran '{ledger.sweep}'"
        )
