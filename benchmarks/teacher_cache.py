"""What a cache of the teacher's outputs saves: a trial's training time with it against without.

    python -m benchmarks.teacher_cache [--repetitions 8] [--steps 24] [--batch 256]

Students are a convolutional network on 8 x 8 images and a perceptron of three layers of 512; teachers are wider ones of
their kind, at about 5 and 10 times the FLOPs of the student's forward pass (`trainables.compute`). A step is three
forward passes of the student and one of the teacher: at a ratio of r nothing can save more than (3 + r) / 3, but for
what the teacher's weights crowd out of the processor's caches.

Seconds are of CPU time, since other work may share the machine, on one thread. A step's are the difference between
trials of `steps` + 1 steps and of one, the least of each over repetitions that alternate, so that all but steps cancels
out. Filling the cache is no part of a trial; its time is printed beside. In small batches the student's optimiser,
which costs the same for any batch, is a larger part of a step, and the gain is less.

Exit code 1 if a trial differs by one bit, or gains less than 2 at 5:1 or 3 at 10:1.
"""

import argparse
import itertools
import sys
import tempfile
import time
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from trainables.checkpoint import Checkpoints
from trainables.compute import count_layers
from trainables.config import TrialConfig
from trainables.image_sets import evaluation_sets, training_sets
from trainables.loop import distil, open_teacher
from trainables.memory.in_batch import InBatch
from trainables.metrics import COMPUTE_PREFIX, SYSTEM_PREFIX
from trainables.models import ModelConfig
from trainables.models.convnet import ConvNet
from trainables.models.mlp import MLP
from trainables.objectives.kd import KD
from trainables.outcomes import Outcome, Verdict
from trainables.storage import Storage
from trainables.teacher import Teacher
from trainables.teacher_cache import TeacherCache

#: FLOPs of the teacher to the student's, and the least gain that is claimed.
CLAIMS = {5: 2.0, 10: 3.0}
STUDENTS: dict[str, ModelConfig] = {"CNN, width 32": ConvNet(width=32), "MLP, 3 x 512": MLP(width=512, depth=3)}
IMAGE = (1, 8, 8)


@dataclass(frozen=True)
class Case:
    """A student and a teacher; `ratio` is that of their forward passes."""

    student: str
    claimed_at: int
    ratio: float
    trial: TrialConfig


@dataclass(frozen=True)
class Found:
    """CPU seconds of a step without and with the cache, and of filling it."""

    case: Case
    without: float
    cached: float
    filled: float
    equal: bool

    @property
    def gain(self) -> float:
        return self.without / self.cached

    @property
    def holds(self) -> bool:
        return self.equal and self.gain >= CLAIMS[self.case.claimed_at]


def flops(model: ModelConfig) -> int:
    return sum(layer.flops for layer in count_layers(model, IMAGE, 64))


def case(kind: str, ratio: int, batch: int) -> Case:
    student = STUDENTS[kind]
    wider = [student.model_copy(update={"width": width}) for width in range(32, 2400, 8)]
    teacher = min(wider, key=lambda model: abs(flops(model) / flops(student) - ratio))
    trial = TrialConfig(
        student=student,
        teacher=Teacher(model=teacher, steps=1),  # what it knows is all the same here
        objective=KD(),
        memory=InBatch(),
        batch_size=batch,
        rungs=2,
        views=4,
    )
    return Case(kind, ratio, flops(teacher) / flops(student), trial)


def measure(found: Case, steps: int, repetitions: int, folder: str) -> Found:
    task = found.trial.task.load()
    teacher = open_teacher(found.trial.teacher, task, Storage(folder))
    sets = [*evaluation_sets(task).distinct(), *training_sets(found.trial, task)]
    began = time.process_time()
    teacher.fill(sets, 0, 1, lambda *_: None)
    filled = time.process_time() - began
    whole = [results(train(found.trial, steps, cached, teacher, "continue")) for cached in (False, True)]
    seconds: dict[tuple[bool, int], list[float]] = {}
    for _ in range(repetitions):
        for cached, count in itertools.product((False, True), (1, steps + 1)):
            began = time.process_time()
            train(found.trial, count, cached, teacher, "stop")
            seconds.setdefault((cached, count), []).append(time.process_time() - began)
    least = {key: min(each) for key, each in seconds.items()}
    without, cached_s = ((least[cached, steps + 1] - least[cached, 1]) / steps for cached in (False, True))
    return Found(found, without, cached_s, filled, whole[0] == whole[1])


def train(trial: TrialConfig, steps: int, cached: bool, teacher: TeacherCache, verdict: Verdict) -> Outcome:
    """A trial of two rungs of so many steps: told to stop at the first, it is spared the second and the last probes."""
    changes = {"steps": 2 * steps, "teacher_cache": cached}
    changed = TrialConfig.model_validate(trial.to_json() | changes)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Storage(folder), changed.digest())
        return distil(changed, changed.task.load(), teacher, checkpoints, lambda _: verdict)


def results(outcome: Outcome) -> tuple[str, dict[str, float]]:
    """All but what the trial cost."""
    measured = {
        name: value for name, value in outcome.metrics.items() if not name.startswith((COMPUTE_PREFIX, SYSTEM_PREFIX))
    }
    return outcome.weights_digest, measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=8)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch", type=int, default=256)
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=110)
    cases = [case(kind, ratio, given.batch) for kind in STUDENTS for ratio in CLAIMS]
    with tempfile.TemporaryDirectory() as folder:
        every = [measure(each, given.steps, given.repetitions, folder) for each in track(cases, console=console)]
    table = Table("student", "teacher", "FLOPs", "a step", "cached", "gain", "claimed", "at most", "fill", "bits")
    for found in every:
        of = found.case
        table.add_row(
            of.student,
            f"width {of.trial.teacher.model.to_json()['width']}",
            f"{of.ratio:.1f} : 1",
            *(f"{1000 * seconds:.2f} ms" for seconds in (found.without, found.cached)),
            f"{found.gain:.2f}",
            f"{CLAIMS[of.claimed_at]:.0f}",
            f"{(3 + of.ratio) / 3:.2f}",
            f"{found.filled:.2f} s",
            "equal" if found.equal else "DIFFER",
        )
    console.print(table)
    for found in every:
        told = f"{found.case.student} at {found.case.claimed_at}:1 gains {found.gain:.2f}"
        console.print(f"{'holds' if found.holds else 'FAILS'}: {told}", highlight=False)
    sys.exit(not all(found.holds for found in every))


if __name__ == "__main__":
    main()
