"""Training on a dataset of four times the memory that the process may use, against one that fits.

    python -m benchmarks.larger_than_memory [--memory-mb 512] [--folder DIR]

Both are random images of CIFAR's shape, which are read in a random order, sample by sample: the hardest case, since a
page of memory holds little more than one. The network is resnet8 on batches of 64, on one thread, with a plain loss:
less work per sample than distillation, so that there is less to hide reading behind. The limit is a memory cgroup
(version 1 or 2, as the system has; one must be allowed to make it), which counts resident pages, those of mapped files
too. Files are dropped from the system's cache before each run, and what a run has taken at most, and its page faults
that went to disk, are printed. Runs alternate, each in a process of its own; the median counts. Exit 1 if training on
the larger one is not `CLAIM` times as fast; 2 if there can be no cgroup.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.stored_noise import CLASSES, SHAPE, write_noise
from trainables.datasets.augmentation import PadCrop
from trainables.datasets.dataset import Dataset
from trainables.datasets.views import Views
from trainables.models.resnet import ResNet
from trainables.storage import Storage

CLAIM, TIMES = 0.9, 4
ROUNDS, WARM_UP, STEPS, BATCH, WORKERS = 3, 10, 80, 64, 2
_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class MemoryCgroup:
    """Processes that may use so many bytes of memory, the cache of files included. OSError if it cannot be made."""

    def __init__(self, limit: int) -> None:
        old = (_V1 / "memory.limit_in_bytes").exists()
        self.path = (_V1 if old else _V2) / f"larger-than-memory-{os.getpid()}"
        self.path.mkdir()
        self._most = "memory.max_usage_in_bytes" if old else "memory.peak"
        (self.path / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(limit))

    def run(self, command: list[str]) -> str:
        """Standard output of a command that runs in the group. CalledProcessError where the limit is too low for it."""
        inside = ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh", *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True).stdout

    def most(self) -> int:
        """The most bytes that were in use at once."""
        return int((self.path / self._most).read_text())

    def remove(self) -> None:
        """Once its processes have ended."""
        self.path.rmdir()


def train(folder: str) -> dict[str, float]:
    """Samples per second of a process of its own, and its page faults that went to disk meanwhile."""
    data = Dataset.open(Storage(folder))
    views, labels = Views(data, "train", PadCrop()), data.labels("train")
    torch.manual_seed(0)
    features = ResNet(depth=8, width=1)
    network = torch.nn.Sequential(features.build(SHAPE), torch.nn.Linear(features.feature_width(SHAPE), CLASSES))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    samples = torch.randperm(data.samples("train"))[: (WARM_UP + STEPS) * BATCH].split(BATCH)
    began = faults = 0.0
    for step, images in enumerate(views.batches(samples, 0, 0, WORKERS)):
        if step == WARM_UP:
            began, faults = time.perf_counter(), _faults()
        loss = torch.nn.functional.cross_entropy(network(images), labels[samples[step]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"rate": STEPS * BATCH / (time.perf_counter() - began), "faults": _faults() - faults}


def _faults() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[9])


def _forget(folder: Path) -> None:
    """Drop the files from the system's cache."""
    for path in folder.rglob("*.arrow"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> int:
    """Measure, print, and judge the claim."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("--folder", default="build", help="where the datasets are written: on a disk, not in memory")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        print(json.dumps(train(arguments.train)))
        return 0
    limit, bytes_each = arguments.memory_mb << 20, SHAPE[0] * SHAPE[1] * SHAPE[2]
    sizes = {"fits": limit // 8, "larger": TIMES * limit}
    rates: dict[str, list[float]] = {name: [] for name in sizes}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as made:
        for name, size in sizes.items():
            write_noise(Storage(f"{made}/{name}"), -(-size // bytes_each))
        for _ in range(ROUNDS):
            for name, size in sizes.items():
                _forget(Path(made))
                try:
                    group = MemoryCgroup(limit)
                except OSError as error:
                    print(f"no memory cgroup can be made here ({error}); run it as root, or in a container that may")
                    return 2
                command = [sys.executable, "-m", "benchmarks.larger_than_memory", "--train", f"{made}/{name}"]
                found = json.loads(group.run(command))
                print(
                    f"{name:7} {size >> 20:6,} MiB of data, at most {group.most() >> 20:,} of {limit >> 20:,} MiB: "
                    f"{found['rate']:8,.0f} samples/s, {found['faults']:,.0f} faults from disk"
                )
                group.remove()
                rates[name].append(found["rate"])
    ratio = statistics.median(rates["larger"]) / statistics.median(rates["fits"])
    print(f"larger against fitting: {ratio:.2f} (claimed {CLAIM:g})")
    return 0 if ratio >= CLAIM else 1


if __name__ == "__main__":
    sys.exit(main())
