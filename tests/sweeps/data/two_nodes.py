"""Ingest on a cluster of two nodes, raylets on this machine, beside ingest without one; prints what came of both.

    python -m tests.sweeps.data.two_nodes FOLDER

In a process of its own: a process joins one Ray.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import ray
from pyarrow import parquet
from ray.cluster_utils import Cluster
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.data.cluster import conversion_on
from sweeps.data.faults import Faults
from sweeps.data.samples import Converter
from sweeps.data.sources import SourceAt
from sweeps.refusals import Refusal
from sweeps.slots.address import RayAt
from tests.sweeps.data.object_store import object_store
from trainables.storage import Storage

#: Two full blocks to train on, and another; eight spans.
IMAGES = 32_000
LINES = 6_000


def arrays(folder: Path) -> None:
    drawn = np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "train_images.npy", drawn.integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8))
    np.save(folder / "train_label.npy", np.arange(IMAGES) % 10)


def faulty_lines(folder: Path) -> None:
    """Faults in the lines of several files, some in labels."""
    folder.mkdir()
    for name in ("train-0.jsonl", "train-1.jsonl", "test.jsonl"):
        lines = [json.dumps({"text": f"line {row} of {name}", "label": row % 3}) for row in range(LINES)]
        lines[7], lines[5000], lines[5001] = "{", '{"text": " ", "label": 1}', '{"text": "x"}'
        (folder / name).write_text("\n".join(lines))


def mixed_vectors(folder: Path) -> None:
    """Vectors in small row groups, one of them without a direction."""
    folder.mkdir()
    rows = np.random.default_rng(0).normal(size=(9000, 3)).astype(np.float32)
    rows[8000] = 0
    table = pa.table({"embedding": rows.tolist(), "label": np.arange(9000) % 3})
    parquet.write_table(table, folder / "train.parquet", row_group_size=1000)


class Story:
    """The cluster, and what ingest said on it and off it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
        self.cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **node})
        self.second = self.cluster.add_node(**node)
        self.there = ("--address", self.cluster.address)

    def ingest(self, source: str, made: str, *options: str) -> Mapping[str, Any]:
        """What it said, and what it has written: names and times of blocks, and the manifest."""
        where = [source if "://" in source else str(self.folder / source), str(self.folder / made)]
        done = CliRunner().invoke(app, ["data", "ingest", *where, *options])
        said = done.output.replace(str(self.folder / made), "DATASET")
        return {"exit": done.exit_code, "said": said, **self.written(made)}

    def written(self, made: str) -> Mapping[str, Any]:
        manifest = self.folder / made / "manifest.json"
        blocks = {path.name: path.stat().st_mtime_ns for path in sorted((self.folder / made).rglob("*.arrow"))}
        return {"blocks": blocks, "manifest": json.loads(manifest.read_text()) if manifest.exists() else None}

    def killed(self, source: str, made: str, blocks: int) -> Mapping[str, Any]:
        """What an ingest on the cluster leaves that is killed as soon as so many blocks are there."""
        where = [str(self.folder / source), str(self.folder / made)]
        command = [sys.executable, "-m", "sweeps", "data", "ingest", *where, *self.there]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while len(list((self.folder / made).rglob("*.arrow"))) < blocks and child.poll() is None:
            time.sleep(0.001)
        child.kill()
        said, _ = child.communicate()
        return {"exit": child.returncode, "said": said, **self.written(made)}

    def ingest_under_a_loss(self, source: str, made: str) -> Mapping[str, Any]:
        """As `ingest` on the cluster, whose second node is killed as soon as there is a block."""
        with ThreadPoolExecutor(1) as pool:
            loss = pool.submit(self.lose, made)
            return {**self.ingest(source, made, *self.there), "blocks at the loss": loss.result()}

    def lose(self, made: str) -> int:
        while not list((self.folder / made).rglob("*.arrow")):
            time.sleep(0.001)
        blocks = len(list((self.folder / made).rglob("*.arrow")))
        self.cluster.remove_node(self.second, allow_graceful=False)
        return blocks

    def changed(self, source: str) -> str:
        """What is said where tasks see other files than the driver has seen."""
        at = SourceAt(str(self.folder / source))
        files = at.files()
        faults = Faults()
        opened = at.open(files, faults)
        (self.folder / source / files.names[0]).touch()
        try:
            with conversion_on(RayAt.of(self.cluster.address, open_cluster=False), at, files, faults) as conversion:
                list(conversion(opened, "train", [range(100)], Converter("text", ())))
        except Refusal as refusal:
            return str(refusal)
        return ""


def nodes_used() -> Iterator[int]:
    """On how many nodes the tasks of each Ray Dataset have run, from now on."""
    found: list[Any] = []
    iter_batches = ray.data.Dataset.iter_batches

    def watched(self: Any, **options: Any) -> Any:
        found.append(self)
        return iter_batches(self, **options)

    with patch.object(ray.data.Dataset, "iter_batches", watched):
        while True:
            used = [int(count) for each in found for count in re.findall(r"(\d+) nodes used", each.stats())]
            found.clear()
            yield max(used, default=0)


def tell(folder: Path, bucket: str) -> dict[str, Any]:
    """What happened."""
    for make in (arrays, faulty_lines, mixed_vectors):
        make(folder / make.__name__)
    Storage(bucket).write("train.parquet", (folder / "mixed_vectors" / "train.parquet").read_bytes())
    story, used = Story(folder), nodes_used()
    seen: dict[str, Any] = {}
    seen["nodes used before"] = next(used)
    seen["images here"] = story.ingest("arrays", "images-here")
    seen["images killed"] = story.killed("arrays", "images-there", blocks=1)
    seen["images there"] = story.ingest("arrays", "images-there", *story.there)
    seen["nodes used"] = next(used)
    for name, source in (("lines", "faulty_lines"), ("vectors", bucket)):
        seen[f"{name} here"] = story.ingest(source, f"{name}-here")
        seen[f"{name} there"] = story.ingest(source, f"{name}-there", *story.there)
    seen["images under a loss"] = story.ingest_under_a_loss("arrays", "images-lost")
    seen["changed"] = story.changed("faulty_lines")
    story.cluster.shutdown()
    return seen


if __name__ == "__main__":
    with object_store() as uri:  # the nodes have its credentials
        print(json.dumps(tell(Path(sys.argv[1]), uri)))
