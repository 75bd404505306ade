"""The training loop on a GPU: float32 and bfloat16, in a process group, and with two workers or two trials on one GPU.

    python -m benchmarks.gpu [--steps 48]

Whole trials without Ray (`trainables.loop.distil`): digits made 32 x 32 and three channels, a convolutional student
without batch normalisation, CRD against a bank of every sample, the teacher asked in every step. Each row is a trial of
its own in processes of its own: a first third in which it loads, captures and warms up, then a third that is timed.

"ms" is wall time of a training step, "times" how many times faster than the first row that is (of two trials at once:
their steps together), "loss" by how much the training loss after the second third differs from the first row's. Rows:

- one process, as a slot of one worker trains;
- the same in a group of one on NCCL: what `GroupWorld` costs where nothing is sent;
- two workers that share the GPU and half a batch each, through gloo: NCCL wants a GPU for each. It says that the
  numbers are right, not how fast two GPUs would be: both wait for one GPU, and for the CPU that carries their bytes;
- two trials at once, each with half of the GPU's memory, as in slots of `gpus_per_worker: 0.5`; before it, whether
  a process that was given a half is refused more, as `trainables.ray_worker` has it.

Exit 1 if a row fails or a float32 loss differs by more than 2 %. Needs one CUDA device; exit 2 without.
"""

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import spawn
from torch.nn.functional import interpolate

from trainables.checkpoint import Checkpoints
from trainables.communication import step_sent_bytes
from trainables.config import TrialConfig
from trainables.evidence import ImageSplit, Task, TransferSet
from trainables.loop import distil, open_teacher
from trainables.memory.bank import Bank
from trainables.metrics import DEVICE_SECONDS, TRAIN_LOSS
from trainables.models.convnet import ConvNet
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.outcomes import RungReport, Verdict
from trainables.placement import CPU, training_device
from trainables.protocols import World
from trainables.storage import Storage
from trainables.tasks.digits import Digits
from trainables.teacher import Teacher
from trainables.world import GroupWorld, SingleWorld

#: Of float32 losses after some hundred steps: rounding of sums in another order has grown by then. That a step is the
#: same, to 1e-5, is tested where no GPU is needed (`tests.trainables.test_world`).
CLOSE = 0.02


class Enlarged(Digits):
    """The digits at the size of common small images; shown as they are, since making views is work of the CPU."""

    inputs: ClassVar[tuple[int, ...]] = (3, 32, 32)

    def load(self) -> Any:
        """The images."""
        return _enlarged()


class EnlargedTask:
    """See `Enlarged`."""

    def __init__(self, task: Task) -> None:
        self.classes, self.digest = task.classes, f"enlarged {task.digest}"
        self.source = _larger(task.source)
        self.transfer_sets = {
            name: TransferSet(_larger(sets.train), _larger(sets.validation), _larger(sets.test))
            for name, sets in task.transfer_sets.items()
        }

    def views(self, sample_B: Tensor, epoch: int, seed: int) -> Tensor:  # noqa: ARG002 (always the same)
        """The images themselves."""
        return self.source.images[sample_B]


@functools.cache
def _enlarged() -> EnlargedTask:
    return EnlargedTask(Digits(copies=1).load())


def _larger(split: ImageSplit) -> ImageSplit:
    size = Enlarged.inputs[1:]
    assert isinstance(split.images, Tensor)
    return ImageSplit(interpolate(split.images, size).expand(-1, 3, -1, -1).contiguous(), split.label_N)


@dataclass(frozen=True)
class Case:
    """One row: a trial, or two at once, of one worker or two, in a process group or without."""

    precision: Literal["float32", "bfloat16"] = "float32"
    backend: Literal["", "nccl", "gloo"] = ""
    workers: int = 1
    trials: int = 1

    def name(self) -> str:
        """What the table calls it."""
        shares = {(1, 1): "one worker", (2, 1): "two workers on one GPU", (1, 2): "two trials at once, half a GPU each"}
        return shares[self.workers, self.trials] + (f", {self.backend}" if self.backend else "")


CASES = (
    Case(),
    Case("bfloat16"),
    Case(backend="nccl"),
    Case("bfloat16", backend="nccl"),
    Case(backend="gloo", workers=2),
    Case(trials=2),
)


@dataclass(frozen=True)
class Size:
    """How large the trials are."""

    steps: int = 48
    batch: int = 256
    width: int = 128
    negatives: int = 1024

    def config(self, case: Case) -> TrialConfig:
        """The trial: three rungs, of which it is stopped at the second."""
        task = Enlarged(copies=1)
        return TrialConfig(
            task=task,
            teacher=Teacher(model=ConvNet(width=8), steps=20, batch_size=64),
            student=ConvNet(width=self.width),
            objective=CRD(),
            memory=Bank(size=task.source_samples),
            negatives=Uniform(count=self.negatives, mode="shared"),
            embedding=128,
            batch_size=self.batch,
            steps=3 * self.steps,
            rungs=3,
            precision=case.precision,
            workers=case.workers,
        )


@dataclass(frozen=True)
class Found:
    """Milliseconds of a step, the training loss at the end, and bytes that a worker sent in a step."""

    ms: float
    loss: float
    sent_bytes: float


class Listener:
    """Takes the time between the first two rungs, to which all processes go together, and stops the trial."""

    def __init__(self, meet: Callable[[], object]) -> None:
        self.meet, self.reports = meet, list[RungReport]()

    def __call__(self, report: RungReport) -> Verdict:
        """Go on from the first rung, stop at the second."""
        self.reports.append(report)
        self.meet()
        return "stop" if len(self.reports) == 2 else "continue"


def measure(case: Case, size: Size, folder: Path) -> Found:
    """Run a row in processes of its own; raises what they raise."""
    processes = case.workers * case.trials
    barrier = get_context("spawn").Barrier(processes)
    place = Path(tempfile.mkdtemp(dir=folder))
    spawn(_process, (case, size, folder, place, barrier), nprocs=processes)
    found = [Found(**torch.load(place / str(number))) for number in range(processes)]
    return Found(max(each.ms for each in found) / case.trials, found[0].loss, found[0].sent_bytes)


def _process(number: int, case: Case, size: Size, folder: Path, place: Path, barrier: Any) -> None:
    torch.set_num_threads(1)
    if case.trials > 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(1 / case.trials)
    world: World = _join(number, case, place) if case.backend else SingleWorld()
    listener = Listener(barrier.wait)
    train(size.config(case), folder, place / f"trial-{number // case.workers}", listener, world)
    first, second = listener.reports
    steps, seconds = second.step - first.step, second.metrics[DEVICE_SECONDS] - first.metrics[DEVICE_SECONDS]
    sent_bytes = world.sent_bytes / second.step if isinstance(world, GroupWorld) else 0.0
    told = {"ms": 1e3 * seconds / steps, "loss": second.metrics[TRAIN_LOSS], "sent_bytes": sent_bytes}
    torch.save(told, place / str(number))
    if case.backend:
        dist.destroy_process_group()


def _join(rank: int, case: Case, place: Path) -> GroupWorld:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if torch.cuda.is_available():
        torch.cuda.set_device(0)
    dist.init_process_group(case.backend, init_method=f"file://{place}/meeting", rank=rank, world_size=case.workers)
    return GroupWorld()


def train(config: TrialConfig, folder: Path, place: Path, listener: Listener, world: World) -> None:
    """One trial of one process; the teacher is kept in `folder`."""
    device = training_device()
    task = config.task.load()
    teacher = open_teacher(config.teacher, task, Storage(str(folder)), device)
    checkpoints = Checkpoints(Storage(str(place)), config.digest())
    distil(config, task, teacher, checkpoints, listener, world, device)


def refused(share: float) -> bool:
    """Whether a process that was given a share of the GPU's memory gets no more, and gets that."""
    answer = get_context("spawn").SimpleQueue()
    spawn(_take_too_much, (share, answer), nprocs=1)
    return bool(answer.get())


def _take_too_much(_: int, share: float, answer: Any) -> None:
    torch.cuda.set_per_process_memory_fraction(share)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.empty(int(0.8 * share * total), dtype=torch.uint8, device="cuda")
    torch.cuda.empty_cache()
    try:
        torch.empty(int(1.2 * share * total), dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError:
        answer.put(True)
    else:
        answer.put(False)


def table(cases: tuple[Case, ...], size: Size, folder: Path) -> int:
    """Print every row; the answer is how many failed."""
    train_teacher(size, folder)
    print("| precision | what | ms | times | loss | bytes sent a step |")
    print("|---|---|---|---|---|---|")
    first, failed = None, 0
    for case in cases:
        try:
            found = measure(case, size, folder)
        except Exception as error:  # a row that fails says so, and the others are still worth having
            print(
                f"| {case.precision} | {case.name()} | failed: {str(error).strip().splitlines()[-1]} | | | |",
                flush=True,
            )
            failed += 1
            continue
        first = first or found
        off = found.loss / first.loss - 1
        failed += case.precision == "float32" and abs(off) > CLOSE
        cells = [case.precision, case.name(), f"{found.ms:.3f}", f"{first.ms / found.ms:.2f}", f"{off:+.1e}"]
        planned = step_sent_bytes(size.config(case))
        print("| " + " | ".join([*cells, f"{found.sent_bytes:,.0f} (planned {planned:,.0f})"]) + " |", flush=True)
    return failed


def train_teacher(size: Size, folder: Path) -> None:
    """Once for all rows."""
    config = size.config(Case())
    open_teacher(config.teacher, config.task.load(), Storage(str(folder)), CPU)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=48)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing to measure")
        return 2
    nccl = ".".join(map(str, torch.cuda.nccl.version()))
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, NCCL {nccl}", flush=True)
    held = refused(0.5)
    print(f"a process with half of the memory is refused more: {'yes' if held else 'NO'}")
    with tempfile.TemporaryDirectory() as folder:
        failed = table(CASES, Size(steps=given.steps), Path(folder))
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())
