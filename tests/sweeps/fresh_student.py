"""Loads a registered student where nothing but mlflow, torch and safetensors may be installed, and measures it.

A script, not a test: arguments are MLflow's URI, the model's, and a safetensors file with `train`, `train_labels`,
`validation` and `validation_labels`. Prints its accuracy by 5 nearest neighbours, and what a reader may want to check.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from safetensors.numpy import load_file


def accuracy(train: Any, train_labels: Any, held_out: Any, labels: Any, neighbours: int = 5) -> float:
    unit_train, unit = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (train, held_out))
    nearest = np.argsort(-(unit @ unit_train.T), axis=1, kind="stable")[:, :neighbours]
    votes = [np.bincount(row).argmax() for row in train_labels[nearest]]
    return float((np.array(votes) == labels).mean())


def main(arguments: Sequence[str]) -> None:
    uri, model_uri, data_file = arguments
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(model_uri)
    data = load_file(data_file)
    train, validation = model.predict(data["train"]), model.predict(data["validation"])
    files = Path(mlflow.artifacts.download_artifacts(model_uri)) / "data" / "student"
    found = {
        "accuracy": accuracy(train, data["train_labels"], validation, data["validation_labels"]),
        "network": sys.modules["trainables.models"].__file__,
        "parameters": sum(int(weight.size) for weight in load_file(files / "weights.safetensors").values()),
        "student": json.loads((files / "config.json").read_text())["student"]["name"],
        "features": list(model.metadata.get_output_schema().inputs[0].shape),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
