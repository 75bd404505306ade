"""How long the parts of a trial take here: a few of its steps are really trained, and measured as a trial is."""

import tempfile
import time
from dataclasses import dataclass

import torch

from trainables.checkpoint import Checkpoints
from trainables.config import TrialConfig
from trainables.evidence import Task
from trainables.loop import distil
from trainables.metrics import DEVICE_SECONDS
from trainables.outcomes import RungReport, Verdict
from trainables.storage import Storage
from trainables.teacher_cache import TeacherCache

#: Steps in all, and how many times those before the first rung that is: these warm up and are not counted.
_STEPS, _GROWTH = 20, 5


@dataclass(frozen=True)
class Timing:
    """Seconds for what comes before the first step, for a step, at a rung (measures, checkpoint), and for the end."""

    begin_s: float
    step_s: float
    rung_s: float
    end_s: float


def time_trial(config: TrialConfig, task: Task, teacher: TeacherCache, device: torch.device) -> Timing:
    """Train a trial like `config` for a few steps, in one worker whatever it asks for, and leave nothing behind.

    What happens less often than that is not seen: estimates of a policy, clusterings of prototypes. Raises
    `TrialFailure` if the loss is not finite.
    """
    short = {"steps": _STEPS, "rungs": 2, "rung_growth": float(_GROWTH), "workers": 1}
    trial = config.model_copy(update=short)
    watch = _Watch()
    with tempfile.TemporaryDirectory(prefix="timing-") as folder:
        distil(trial, task, teacher, Checkpoints(Storage(folder), trial.digest()), watch, device=device)
    return watch.timing(_STEPS - _STEPS // _GROWTH)


class _Watch:
    """Listens to a trial of two rungs with a clock."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]
        self.trained: list[float] = []

    def __call__(self, report: RungReport) -> Verdict:
        self.times.append(time.perf_counter())
        self.trained.append(report.metrics[DEVICE_SECONDS])
        return "continue"

    def timing(self, steps: int) -> Timing:
        began, first, second = self.times
        ended, trained = time.perf_counter(), self.trained[1] - self.trained[0]
        rung = max(0.0, second - first - trained)
        begin = max(0.0, first - began - self.trained[0] - rung)
        return Timing(begin, trained / steps, rung, ended - second)
