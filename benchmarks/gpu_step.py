"""What a training step takes on a GPU: as it is, with the student's passes as CUDA graphs, and with it compiled.

    python -m benchmarks.gpu_step [--seconds 1] [--compile-for 100]

Published students on images of 32 x 32, contrasted (CRD, width 128) with the cached outputs of a teacher that has 256
features, against a bank of 50,000 rows, 16,384 shared negatives; images and teacher outputs are random numbers, which
cost what others do. A step is the trial's own (`trainables.step`, as `trainables.loop` takes it): draws, loss,
backward, optimiser, memory. Its images are on the GPU already; what bringing them there takes is printed before.
"perceptron" has a student of next to no work: its step is what is left when the student costs nothing.

"ms" is wall time of a step, the launching process included: the median of groups of 20. "once" is the seconds before
the second step: capture or compilation, and the first step; "again" the same in a process and on a disk that have
compiled this network before. "pays after" is how many steps make up for what "once" takes more, of graphs than of the
eager form, and of a compiled network than of graphs; "MiB" is the most memory that was taken. "graphs" is what trials
do (`trainables.graphs`, images with their channels last, as the compiled networks have them too).

Networks are compiled, in the order of the table, for as long as `--compile-for` says. Needs one CUDA device, and no
Ray; exit 2 without a device.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from trainables.compute import Meter
from trainables.config import TrialConfig
from trainables.graphs import channels_last
from trainables.memory.bank import Bank
from trainables.models import ModelConfig
from trainables.models.mlp import MLP
from trainables.models.mobilenet import MobileNetV2
from trainables.models.resnet import ResNet
from trainables.models.vgg import VGG
from trainables.models.wide_resnet import WideResNet
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.placement import sent, training_device
from trainables.step import Samples, TrainingStep
from trainables.tasks.digits import Digits
from trainables.teacher import Shown, Teacher, TeacherOutputs
from trainables.world import SingleWorld

Form = Literal["eager", "graphs", "compiled", "compiled, reduce-overhead"]
STUDENTS: dict[str, ModelConfig] = {
    "resnet8x4": ResNet(depth=8, width=4),
    "wrn_16_2": WideResNet(depth=16, width=2),
    "vgg8": VGG(depth=8),
    "MobileNetV2": MobileNetV2(),
    "perceptron": MLP(width=64, depth=1),
}
BATCHES = (64, 512)
COMPILED = [  # what is bound by launches, and what has most to fuse
    ("resnet8x4", 64, "float32"),
    ("resnet8x4", 512, "bfloat16"),
    ("wrn_16_2", 64, "float32"),
    ("wrn_16_2", 512, "bfloat16"),
    ("vgg8", 512, "bfloat16"),
]
GROUP = 20
MIB = 2**20


class Pictures(Digits):
    """Stands for CIFAR-100: the sizes of its images, and none of them."""

    inputs, classes, source_samples = (3, 32, 32), 100, 50_000


@dataclass(frozen=True)
class Case:
    student: str
    batch: int
    precision: str
    form: Form

    def config(self) -> TrialConfig:
        return TrialConfig(
            task=Pictures(),
            teacher=Teacher(model=ResNet(depth=32, width=4)),
            student=STUDENTS[self.student],
            objective=CRD(),
            memory=Bank(size=Pictures.source_samples),
            negatives=Uniform(count=16_384, mode="shared"),
            embedding=128,
            batch_size=self.batch,
            steps=100_000,
            views=16,
            teacher_cache=True,
            precision="bfloat16" if self.precision == "bfloat16" else "float32",
        )


@dataclass
class Trial:
    """A trial that is always shown the same images."""

    case: Case
    device: torch.device
    taken: int = 0
    samples: Samples = field(init=False)

    def __post_init__(self) -> None:
        config, device = self.case.config(), self.device
        self.training = TrainingStep(config).to(device)
        self.optimizer, self.meter = config.optimizer.build(self.training.parameters()), Meter(config.device)
        shown = Shown(images(config).to(device), teacher_outputs(config).on(device))
        label_N = torch.zeros(config.task.source_samples, dtype=torch.long, device=device)
        self.samples = Samples(torch.arange(config.batch_size, device=device), shown, label_N)

    def prepare(self) -> None:
        if self.case.form == "graphs":
            self.training.capture()
        elif self.case.form != "eager":
            torch.compiler.reset()  # else a second size would be compiled for any size
            shown = replace(self.samples.shown, images=channels_last(self.samples.shown.images))
            self.samples = replace(self.samples, shown=shown)
            mode = "reduce-overhead" if "reduce" in self.case.form else "default"
            self.training.student.compile(mode=mode, dynamic=False)

    def step(self) -> None:
        taken = self.training(self.samples, self.taken, SingleWorld())
        self.optimizer.zero_grad()
        taken.loss.backward()
        self.optimizer.step()
        self.training.commit(taken)
        self.training.charge(self.meter, taken)
        self.taken += 1


@dataclass(frozen=True)
class Found:
    """Seconds of a step, and before the second one; bytes taken at most."""

    step: float
    once: float
    peak: int
    again: float | None = None


def images(config: TrialConfig) -> Tensor:
    return torch.rand(config.batch_size, *config.task_inputs())


def teacher_outputs(config: TrialConfig) -> TeacherOutputs:
    rows = config.batch_size
    return TeacherOutputs(torch.randn(rows, config.teacher_width()), torch.randn(rows, config.task.classes))


def measure(case: Case, device: torch.device, seconds: float) -> Found:
    torch.cuda.reset_peak_memory_stats()
    trial = Trial(case, device)
    once = begun(trial)
    groups: list[float] = []

    def group() -> None:
        for _ in range(GROUP):
            trial.step()

    timed(group)  # a GPU that has idled is slower
    until = time.perf_counter() + seconds
    while len(groups) < 3 or time.perf_counter() < until:
        groups.append(timed(group) / GROUP)
    peak = torch.cuda.max_memory_allocated()
    again = begun(Trial(case, device)) if case.form == "compiled" else None
    return Found(statistics.median(groups), once, peak, again)


def begun(trial: Trial) -> float:
    def first_step() -> None:
        trial.prepare()
        trial.step()

    return timed(first_step)


def timed(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def feeding(batch: int, device: torch.device) -> tuple[float, float]:
    """Seconds of picking a batch of images on the CPU, and of having it on the GPU from there."""
    kept, picked_s, sent_s = torch.rand(Pictures.source_samples // 10, 3, 32, 32), [], []
    for _ in range(30):
        chosen_B = torch.randint(len(kept), (batch,))
        began = time.perf_counter()
        picked = kept[chosen_B]
        picked_s.append(time.perf_counter() - began)
        sent_s.append(timed(partial(sent, picked, device)))
    return statistics.median(picked_s), statistics.median(sent_s)


def show(case: Case, found: Found, eager: Found, instead_of: Found | None = None) -> None:
    instead_of = instead_of or eager
    saved = instead_of.step - found.step
    pays = f"{max(0, found.once - instead_of.once) / saved:,.0f}" if saved > 0 else "never"
    cells = [case.student, str(case.batch), case.precision, case.form, f"{1e3 * found.step:.2f}"]
    cells += [f"{eager.step / found.step:.2f}", f"{found.once:.2f}"]
    cells += ["" if found.again is None else f"{found.again:.2f}", "" if case.form == "eager" else pays]
    print("| " + " | ".join([*cells, f"{found.peak / MIB:.0f}"]) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--compile-for", type=float, default=100)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing to measure")
        return 2
    device = training_device()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for batch in BATCHES:
        picked, moved = feeding(batch, device)
        print(f"a batch of {batch}: picked in {1e3 * picked:.2f} ms, on the GPU {1e3 * moved:.2f} ms later")
    begun(Trial(Case("resnet8x4", 64, "float32", "eager"), device))  # loads what the first trial of a process loads
    print("| student | batch | precision | form | ms | times faster | once s | again s | pays after | MiB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    eager: dict[tuple[str, int, str], Found] = {}
    graphs: dict[tuple[str, int, str], Found] = {}
    for student in STUDENTS:
        for key in [(student, batch, precision) for batch in BATCHES for precision in ("float32", "bfloat16")]:
            eager[key] = measure(Case(*key, "eager"), device, given.seconds)
            show(Case(*key, "eager"), eager[key], eager[key])
            graphs[key] = measure(Case(*key, "graphs"), device, given.seconds)
            show(Case(*key, "graphs"), graphs[key], eager[key])
    cases = [Case(*key, "compiled") for key in COMPILED]
    cases.append(Case(*COMPILED[0], "compiled, reduce-overhead"))
    until = time.perf_counter() + given.compile_for
    for case in cases:
        if time.perf_counter() < until:
            key = case.student, case.batch, case.precision
            show(case, measure(case, device, given.seconds), eager[key], graphs[key])
    return 0


if __name__ == "__main__":
    sys.exit(main())
