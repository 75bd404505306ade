"""Sweeps on real data that were ingested, through the command line and real Ray: text and embeddings."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.trainables.tasks.documentation import PACKAGES, documented
from tests.trainables.tasks.made import vectors

SMALL = ("budget.trials=2", "search.startup_trials=2", "stop.minimum=2", "resources.slots=1", "trial.rungs=2")


def sweeps(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "sweeps", *arguments], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def front_of(storage: Path, file: str, *settings: str) -> dict[str, float]:
    """What the sweep's first trial on the front has measured."""
    given = [part for setting in (*SMALL, *settings) for part in ("--set", setting)]
    sweeps("run", file, *given, "--storage", str(storage), "--id", "swept")
    front = json.loads(sweeps("front", "swept", "--storage", str(storage), "--json"))
    metrics: dict[str, float] = front[0]["metrics"]
    return metrics


def test_text_that_ships_with_packages_under_transformers_from_sizes(tmp_path: Path) -> None:
    texts, labels = documented(of_each=60)
    lines = [json.dumps({"text": text, "label": PACKAGES[label]}) for text, label in zip(texts, labels, strict=True)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    sweeps("data", "ingest", str(tmp_path), str(tmp_path / "data"))
    metrics = front_of(
        tmp_path,
        "search_spaces/text.yaml",
        f"trial.task.data={tmp_path}/data",
        "trial.task.tokens=48",
        "trial.teacher={model: {name: transformer, width: 32, depth: 1}, steps: 20}",
        "trial.student={name: transformer, width: {choice: [8, 16]}, depth: 1, heads: 2}",
        "trial.memory.size=64",
        "trial.negatives.count=16",
        "trial.batch_size=32",
        "trial.steps=6",
    )
    assert 0 < metrics["transfer/knn_top1"] <= 1


def test_embeddings_of_real_images_are_refined(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    data = vectors(tmp_path / "data", digits.data.astype(np.float32), digits.target.astype(np.int64))
    metrics = front_of(
        tmp_path,
        "search_spaces/embeddings.yaml",
        f"trial.task.data={data}",
        "trial.student.hidden=32",
        "trial.batch_size=64",
        "trial.negatives.count=63",
        "trial.steps=20",
    )
    assert metrics["transfer/knn_top1"] > 0.8
    assert abs(metrics["transfer/knn_top1_gain"]) < 0.2
