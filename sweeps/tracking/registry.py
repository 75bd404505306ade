"""Students as registered models of MLflow: safetensors, a config and the source of the network; nothing is pickled."""

import ast
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from numpy.typing import NDArray
from torch import nn

from sweeps.tracking import student_model
from sweeps.tracking.connection import connected, trial_run
from sweeps.tracking.mirror import Tracking
from sweeps.tracking.student_model import CONFIG, WEIGHTS, StudentConfig
from sweeps.tracking.uri import VARIABLE

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, PREVIOUS = "champion", "previous"

_ROOT = Path(__file__).parents[2]
_REQUIREMENTS = ("mlflow", "torch", "safetensors", "numpy", "pydantic")
_DIGEST = "weights_digest"


@dataclass(frozen=True)
class Model:
    """A student to be registered as `name`: that of a trial of the ledger with this uid.

    `example` are some inputs. `tags` describe the version; `description` is Markdown.
    """

    name: str
    ledger: str
    trial: int
    network: nn.Module
    config: StudentConfig
    example: NDArray[Any]
    tags: Mapping[str, str]
    description: str


def register(tracking: Tracking, model: Model, weights_digest: str) -> tuple[int, bool]:
    """The version under `@champion` from now on, and whether it is a new one; the one before it becomes `@previous`.

    Weights that are the champion already are not registered again. Raises `Refusal` if MLflow does not take them, or
    does not hold the trial's run.
    """
    with connected(tracking.uri) as client:
        run = trial_run(client, tracking, model.ledger, model.trial)
        champion = _champion(client, model.name)
        if champion and champion.tags.get(_DIGEST) == weights_digest:
            return int(champion.version), False
        logged = client.create_logged_model(run.info.experiment_id, "student", run.info.run_id)
        with tempfile.TemporaryDirectory() as folder:
            _save(model, Path(folder))
            client.log_model_artifacts(logged.model_id, str(Path(folder, "model")))
        client.finalize_logged_model(logged.model_id, "READY")
        with _everywhere(tracking.uri):
            version = client.create_model_version(
                model.name,
                f"models:/{logged.model_id}",
                run.info.run_id,
                {**model.tags, _DIGEST: weights_digest},
                description=model.description,
                model_id=logged.model_id,
            ).version
        if champion:
            client.set_registered_model_alias(model.name, PREVIOUS, champion.version)
        client.set_registered_model_alias(model.name, CHAMPION, version)
        return int(version), True


@contextmanager
def _everywhere(uri: str) -> Iterator[None]:
    """The URI for all of MLflow: its registry looks for logged models there, whatever its client was told."""
    import mlflow

    before = os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None forgets it


def _champion(client: "MlflowClient", name: str) -> Any:
    """The version that is the champion; None, and the model is made, if there is none."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    aliases = client.get_registered_model(name).aliases
    return client.get_model_version(name, aliases[CHAMPION]) if CHAMPION in aliases else None


def _save(model: Model, folder: Path) -> None:
    """The model in ``model``, made of what lies in ``student`` and ``code``."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    data, code = folder / "student", folder / "code"
    data.mkdir()
    safetensors.torch.save_file(dict(model.network.state_dict()), data / WEIGHTS)
    (data / CONFIG).write_text(model.config.model_dump_json(indent=2))
    for path in _sources(Path(student_model.__file__)):
        target = code / (path.name if path == Path(student_model.__file__) else path.relative_to(_ROOT))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    features = student_model.Student(model.network).predict(model.example)
    read, given = (Schema([TensorSpec(each.dtype, (-1, *each.shape[1:]))]) for each in (model.example, features))
    mlflow.pyfunc.save_model(
        folder / "model",
        loader_module=student_model.__name__.rpartition(".")[2],
        data_path=str(data),
        code_paths=[str(path) for path in code.iterdir()],
        signature=ModelSignature(read, given),
        input_example=model.example,
        pip_requirements=[f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in _REQUIREMENTS],
        metadata={"trial": str(model.trial), **model.tags},
    )


def _sources(start: Path) -> set[Path]:
    """A file and all of `trainables` that it imports, directly or not."""
    found, left = set[Path](), [start]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += _imported(path)
    return found


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "trainables":
            parts = node.module.split(".")
            packages = [_ROOT.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
            yield from (package for package in packages if package.exists())
            module = _ROOT.joinpath(*parts).with_suffix(".py")
            if module.exists():
                yield module
