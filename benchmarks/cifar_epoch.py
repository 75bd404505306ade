"""One epoch of the CRD recipe on CIFAR-100's shape: images per second, and memory on a GPU.

    python -m benchmarks.cifar_epoch [--images 50000] [--batch 64] [--precision float32] [--mode exact] [--views N]

The pair resnet32x4 -> resnet8x4 of `search_spaces/cifar100_crd.yaml` as published: batches of 64, a bank of every
sample, 16,384 negatives of other classes, width 128, cross-entropy beside it. Images and weights are drawn: 50,000
training images of 3 x 32 x 32 are written to disk as ingest writes them, and the teacher is a file as published ones
are, so that reading, augmenting, teacher and student are those of a trial (`trainables.loop`, without Ray). What is
timed is training alone, up to a rung after one epoch, with what is captured on its way; probes are not.

`--images` (2,000 at least) is for machines that would take too long: bank and negatives then shrink with it, and
"epoch" is what 50,000 would take. `--views 16` keeps the teacher's outputs of so many views, worked out before, and not
timed.

The baseline is in print: 94 to 98 s an epoch and 1.35 GiB on one RTX 3070 Ti, of the authors' release (PyTorch, no
loader workers), by an independent reproduction (github.com/ChenBill900703/CRD-Reproduction, README). It is another GPU:
the ratio says what a user gets, not what the code alone does. Needs neither network nor GPU.
"""

import argparse
import hashlib
import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from trainables.checkpoint import Checkpoints
from trainables.config import TrialConfig
from trainables.datasets.blocks import block_record, encoded_block
from trainables.datasets.manifest import Block, Manifest, Split, write_manifest
from trainables.image_sets import training_sets
from trainables.loop import distil, open_teacher
from trainables.memory.bank import Bank
from trainables.metrics import DEVICE_SECONDS, TRAIN_LOSS
from trainables.models.resnet import ResNet
from trainables.models.weights import Weights
from trainables.negatives.label_aware import LabelAware
from trainables.objectives.crd import CRD
from trainables.objectives.cross_entropy import CrossEntropy
from trainables.objectives.sum import Sum, Term
from trainables.optimizer import Optimizer
from trainables.outcomes import RungReport, Verdict
from trainables.placement import training_device
from trainables.storage import Storage
from trainables.tasks.cifar100 import Cifar100
from trainables.teacher import Teacher

EPOCH = 50_000
TEST = 500
PUBLISHED_EPOCH_S = (94, 98)
PUBLISHED_GIB = 1.35
NEGATIVES = 16_384
ROWS = 10_000  # of a block


def write_images(folder: Path, train: int) -> None:
    """Noise with CIFAR-100's shape and labels."""
    storage, drawn = Storage(str(folder)), np.random.default_rng(0)
    splits = {}
    for name, samples in (("train", train), ("test", TEST)):
        fine_N = drawn.permutation(np.arange(samples) % 100)
        labels = {"fine_label": fine_N, "coarse_label": fine_N % 20}
        images = drawn.integers(0, 256, (samples, 3, 32, 32), dtype=np.uint8)
        blocks: list[Block] = []
        for first in range(0, samples, ROWS):
            here = slice(first, first + ROWS)
            content, rows = encoded_block(
                "pixels", images[here], {key: label_N[here] for key, label_N in labels.items()}
            )
            blocks.append(block_record(name, len(blocks), content, rows))
            storage.write(blocks[-1].file, content)
        counts = {key: tuple(np.bincount(label_N).tolist()) for key, label_N in labels.items()}
        splits[name] = Split(blocks=tuple(blocks), per_class=counts)
    classes = {"fine_label": tuple(map(str, range(100))), "coarse_label": tuple(map(str, range(20)))}
    manifest = Manifest(
        kind="images",
        stored="pixels",
        shape=(3, 32, 32),
        classes=classes,
        splits=splits,
        licence="none",
        source="drawn",
    )
    write_manifest(storage, manifest)


def write_teacher(file: Path) -> Weights:
    """Drawn weights in the form of the published checkpoints."""
    content = io.BytesIO()
    torch.save({"epoch": 240, "model": ResNet(depth=32, width=4).published(100).state_dict()}, content)
    file.write_bytes(content.getvalue())
    return Weights(file=str(file), sha256=hashlib.sha256(content.getvalue()).hexdigest())


def recipe(folder: Path, weights: Weights, given: argparse.Namespace) -> TrialConfig:
    """Two epochs, of which the first is trained."""
    epoch = given.images // given.batch
    return TrialConfig(
        task=Cifar100(data=str(folder), held_out=(), validation=0.0, corruptions=(), labels_per_class=10),
        teacher=Teacher(model=ResNet(depth=32, width=4, standardise="cifar100", weights=weights)),
        student=ResNet(depth=8, width=4, standardise="cifar100"),
        objective=Sum(
            terms={"cross_entropy": Term(objective=CrossEntropy()), "crd": Term(weight=0.8, objective=CRD())}
        ),
        memory=Bank(size=given.images, momentum=0.5),
        negatives=LabelAware(count=min(NEGATIVES, given.images), mode=given.mode),
        embedding=128,
        optimizer=Optimizer(schedule="steps"),
        batch_size=given.batch,
        steps=2 * epoch,
        rungs=2,
        precision=given.precision,
        views=given.views,
        teacher_cache=given.views is not None,
    )


def stop(report: RungReport) -> Verdict:
    stopped_at.append(report)
    return "stop"


stopped_at: list[RungReport] = []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=EPOCH)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--mode", choices=["exact", "shared", "full"], default="exact")
    parser.add_argument("--views", type=int)
    given = parser.parse_args()
    device = training_device()
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(
        f"{where}, torch {torch.__version__}, batch {given.batch}, {given.precision}, negatives {given.mode}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        write_images(folder / "data", given.images)
        config = recipe(folder / "data", write_teacher(folder / "teacher.pth"), given)
        task = config.task.load()
        teacher = open_teacher(config.teacher, task, Storage(str(folder)), device)
        teacher.fill(training_sets(config, task), 0, 1, lambda *_: None)
        print(f"data written, checked, and the teacher ready in {time.perf_counter() - began:.1f} s", flush=True)
        checkpoints = Checkpoints(Storage(str(folder / "trial")), config.digest())
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        distil(config, task, teacher, checkpoints, stop, device=device)
    show(stopped_at[0], config, device)
    return 0


def show(report: RungReport, config: TrialConfig, device: torch.device) -> None:
    seconds, images = report.metrics[DEVICE_SECONDS], report.step * config.batch_size
    epoch_s = EPOCH * seconds / images
    print(f"{report.step} steps, {images:,} images in {seconds:.1f} s: {images / seconds:,.0f} images/s")
    print(f"{1e3 * seconds / report.step:.2f} ms a step, loss {report.metrics[TRAIN_LOSS]:.3f}")
    ratio = " to ".join(f"{published / epoch_s:.2f}" for published in PUBLISHED_EPOCH_S)
    published = "{} to {}".format(*PUBLISHED_EPOCH_S)
    print(f"epoch of 50,000 images: {epoch_s:.1f} s; in print, on an RTX 3070 Ti: {published} s, {ratio} times as long")
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
        print(f"GPU memory taken at most: {peak:.2f} GiB; in print {PUBLISHED_GIB} GiB")


if __name__ == "__main__":
    sys.exit(main())
