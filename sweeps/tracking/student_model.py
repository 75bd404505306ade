"""A registered student as `mlflow.pyfunc` loads it: the model carries this file, and the source of its network.

So this imports nothing that is not there: torch, safetensors, what MLflow brings, and `trainables.models`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file
from torch import nn

from trainables.models import ModelConfig

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"


class StudentConfig(BaseModel):
    """What is in ``config.json``: the network, the shape of one input, and the trial that trained it, whole."""

    model_config = ConfigDict(frozen=True)

    student: ModelConfig
    inputs: tuple[int, ...]
    trial: dict[str, Any]


class Student:
    """Features (N, F) of inputs (N, *inputs)."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    @torch.no_grad()
    def predict(self, inputs: NDArray[Any], params: dict[str, Any] | None = None) -> NDArray[Any]:  # noqa: ARG002 (MLflow's)
        """What the network makes of inputs of the type that the signature names."""
        features: NDArray[Any] = self.network(torch.from_numpy(np.ascontiguousarray(inputs))).numpy()
        return features


def _load_pyfunc(folder: str) -> Student:
    config = StudentConfig.model_validate_json(Path(folder, CONFIG).read_text())
    network = config.student.build(config.inputs)
    network.load_state_dict(load_file(Path(folder, WEIGHTS)))
    return Student(network)
