"""The student that a sweep would have people use, registered in MLflow under the sweep's name."""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from sweeps.confirmation.report import Point, confirmed
from sweeps.constraints import constraints_of
from sweeps.export.tables import reproduce_command
from sweeps.front import best, front
from sweeps.ledger.history import History, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.students import load_student
from sweeps.tables import quantity
from sweeps.tracking.of_sweep import tracking
from sweeps.tracking.registry import Model, register
from sweeps.tracking.student_model import StudentConfig
from trainables.config import TrialConfig
from trainables.loop import TEACHERS
from trainables.storage import Storage
from trainables.teacher import ask, load_teacher

_EXAMPLES = 4


@dataclass(frozen=True)
class Published:
    """A version of a registered model; `new` says whether it was registered now. `trust` is what fresh seeds say."""

    name: str
    version: int
    new: bool
    trial: int
    trust: str


def publish(ledger: Ledger, results: Results, number: int | None = None) -> Published:
    """Register a student: of trial `number`, or of the best confirmed point, or without a confirmation of the knee.

    Its weights are those of the sweep's trial. Raises `Refusal`, and `Unsafe` where they are not those on record.
    """
    history = History.of(ledger.events())
    trial, point = _chosen(ledger, history, results, number)
    choice = "chosen by hand" if number is not None else "the knee of the front"
    network = load_student(trial, Storage(results.folder(ledger.sweep)))
    config = TrialConfig.model_validate(trial.config)
    trust = str(point) if point else f"{choice}, not confirmed by fresh seeds"
    name = str(ledger.spec["file"]["name"])
    model = Model(
        name=name,
        ledger=ledger.uid,
        trial=trial.number,
        network=network,
        config=StudentConfig(student=config.student, inputs=config.student_inputs(), trial=trial.config),
        example=_example(config, results),
        tags={
            "sweep": ledger.sweep,
            "trial": str(trial.number),
            "confirmed": str(point is not None).lower(),
            "config_digest": trial.config_digest,
            **{f"metric.{goal}": repr(trial.metrics[goal]) for goal in ledger.spec["file"]["goals"]},
        },
        description=_card(ledger, results, trial, trust),
    )
    described = tracking(ledger.sweep, ledger.spec, results)
    version, new = register(described, model, str(trial.weights_digest))
    return Published(name, version, new, trial.number, trust)


def _chosen(ledger: Ledger, history: History, results: Results, number: int | None) -> tuple[TrialRecord, Point | None]:
    file, confirmation = ledger.spec["file"], confirmed(ledger, results)
    if number is None:
        points = (
            confirmation.front()
            if confirmation
            else front(history.trials.values(), file["goals"], constraints_of(file))
        )
        number = best(points, file["goals"], {}, {}).number
    if number not in history.trials:
        raise Refusal(
            f"'{ledger.sweep}' has no trial {number}. python -m sweeps front {ledger.sweep}{results.flag} shows which "
            "are best"
        )
    return history.trials[number], confirmation.of(number) if confirmation else None


def _example(config: TrialConfig, results: Results) -> NDArray[Any]:
    """Some inputs: images of the source, or what the teacher makes of them where the student reads that."""
    task = config.task.load()
    images = task.source.images[torch.arange(_EXAMPLES)]
    if config.student.reads == "features":
        with torch.no_grad():
            images = ask(
                load_teacher(config.teacher, task, Storage(results.absolute).folder(TEACHERS)), images
            ).features
    example: NDArray[Any] = images.numpy()
    return example


def _card(ledger: Ledger, results: Results, trial: TrialRecord, trust: str) -> str:
    """What the version is, in Markdown."""
    values = {
        name: trial.metrics[name]
        for name in sorted(trial.metrics)
        if name.endswith("_top1") or name in ledger.spec["file"]["goals"]
    }
    return "\n".join(
        [
            f"The student of trial {trial.number} of `{ledger.sweep}`: {trust}.",
            "",
            ledger.spec["file"]["description"].strip(),
            "",
            "| measured | value |",
            "|---|---|",
            *(f"| `{name}` | {quantity(name, value)} |" for name, value in values.items()),
            "",
            "`predict` gives features; `data/student/weights.safetensors` is the state dict, and `config.json` "
            "beside it the config. "
            f"Reproduce it: `{reproduce_command(ledger.sweep, trial.number, results.shareable_flag)}`",
        ]
    )
