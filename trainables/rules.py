"""Rules that bind several parts of a trial: which memories, samplers, students and objectives go together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from trainables.base import Misfit
from trainables.memory.bank import Bank
from trainables.memory.prototypes import Prototypes
from trainables.models.vit import ViT

if TYPE_CHECKING:
    from trainables.config import TrialConfig


def refuse_misfits(config: "TrialConfig") -> None:
    """Raise `PydanticCustomError` with path, value, rule and fix for the first rule that the trial breaks."""
    for path, value, rule, fix in _misfits(config):
        # braces in the texts would be read as fields of the message
        raise PydanticCustomError("misfit", "{rule}; {fix}", {"path": path, "value": value, "rule": rule, "fix": fix})


def _misfits(config: "TrialConfig") -> Iterator[Misfit]:
    yield from ((f"task.{path}", *rest) for path, *rest in config.task.misfits())  # others ask for its sizes
    for path, model in (("student", config.student), ("teacher.model", config.teacher.model)):
        yield from ((f"{path}.{field}", *rest) for field, *rest in model.misfits())
    yield from _sizes(config)
    yield from _networks(config)
    yield from _contrast(config)
    yield from _labels(config)
    yield from _views(config)


def _sizes(config: "TrialConfig") -> Iterator[Misfit]:
    samples, rows = config.task.source_samples, config.memory.rows_kept(config.batch_size)
    if config.batch_size % config.workers:
        fitting = max(1, config.batch_size // config.workers) * config.workers
        rule = f"batch_size must be a multiple of workers, {config.workers}"
        yield "batch_size", config.batch_size, rule, f"change it to {fitting}"
    limits = [
        ("batch_size", config.batch_size, "the number of source samples", samples),
        ("rungs", config.rungs, "steps", config.steps),
    ]
    if config.objective.draws:
        limits.append(("negatives.count", config.negatives.count, "the rows of the memory", rows))
    if isinstance(config.memory, Bank):
        limits.append(("memory.size", config.memory.size, "the number of source samples", samples))
    if isinstance(config.memory, Prototypes):
        limits.append(("memory.count", config.memory.count, "the number of source samples", samples))
    for path, value, name, limit in limits:
        if value > limit:
            yield path, value, f"{path} must be at most {name}, {limit}", f"lower it to {limit} or less"
    if len({0, *config.rung_steps()}) <= config.rungs:
        rule = f"every rung must have a step of its own, and these would be at {config.rung_steps()[:5]}"
        yield "rung_growth", config.rung_growth, rule, "lower rungs or rung_growth, or raise steps"


def _networks(config: "TrialConfig") -> Iterator[Misfit]:
    gives = config.task.gives
    if config.teacher.model.reads != gives or config.teacher.model.generates:
        rule = f"a teacher maps {gives} to features and does nothing else"
        yield "teacher.model.name", config.teacher.model.name, rule, "choose another network for it"
    if config.student.reads not in (gives, "features"):
        rule = f"{config.student.name} reads {config.student.reads}, and the task gives {gives}"
        yield "student.name", config.student.name, rule, f"choose a network that reads {gives}, or an adapter"
    for path, model in (("student", config.student), ("teacher.model", config.teacher.model)):
        if gives == "images":
            yield from _of_image(path, model, min(config.task.inputs[1:]))
        if model.reads == "tokens" and model.vocabulary_read < config.task.vocabulary:
            rule = f"{model.name} must know every token of the task, {config.task.vocabulary}"
            yield f"{path}.vocabulary", model.vocabulary_read, rule, f"raise it to {config.task.vocabulary}"
    generates = "likelihood" in config.objective.reads
    if generates and not config.student.generates:
        rule = "a likelihood needs a student that generates"
        yield "student.name", config.student.name, rule, "write `student: {name: encoder_decoder}`"
    if config.student.generates and not generates:
        rule = f"nothing trains the decoder of {config.student.name}: the objective has no likelihood"
        yield "objective.name", config.objective.name, rule, "add a term `likelihood` in a sum, or choose a convnet"


def _of_image(path: str, model: Any, size: int) -> Iterator[Misfit]:
    if model.smallest_image > size:
        rule = f"{model.name} needs images of {model.smallest_image} pixels or more, the task has {size}"
        yield f"{path}.name", model.name, rule, "choose another network"
    if isinstance(model, ViT) and size % model.patch:
        rule = f"patches must divide the image, of {size} pixels"
        yield f"{path}.patch", model.patch, rule, "choose a divisor of the image's size"


def _contrast(config: "TrialConfig") -> Iterator[Misfit]:
    objective, memory, negatives = config.objective, config.memory, config.negatives
    if objective.needs_prototypes and not memory.keeps_prototypes:
        rule = f"{objective.name} contrasts against prototypes"
        yield "memory.name", memory.name, rule, "write `memory: {name: prototypes}`"
    if memory.keeps_prototypes and objective.draws and negatives.uses_labels:
        rule = f"{negatives.name} looks at the labels of rows, and prototypes have none"
        yield "negatives.name", negatives.name, rule, "choose another sampler, or a memory of samples"
    if memory.keeps_prototypes and objective.uses_labels_of_rows:
        rule = f"{objective.name}, as it is set, looks at the labels of rows, and prototypes have none"
        yield "memory.name", memory.name, rule, "choose a memory of samples"


def _labels(config: "TrialConfig") -> Iterator[Misfit]:
    if config.task.labelled:
        return
    objective, negatives, none = config.objective, config.negatives, "and the task's samples have none"
    if objective.uses_labels or "logits" in objective.reads:
        rule = f"{objective.name}, as it is set, needs the classes of samples, {none}"
        yield "objective.name", objective.name, rule, "choose one of embeddings, such as crd"
    if objective.draws and negatives.uses_labels:
        rule = f"{negatives.name} looks at labels, {none}"
        yield "negatives.name", negatives.name, rule, "choose another sampler"
    if config.teacher.steps:
        rule = f"a teacher is trained on labels, {none}"
        yield "teacher.steps", config.teacher.steps, rule, "write 0, and give it weights that were trained elsewhere"


def _views(config: "TrialConfig") -> Iterator[Misfit]:
    if config.student.reads == "features":
        return
    if config.teacher_cache and config.views is None:
        rule = "the teacher's outputs can be kept only for views that can be enumerated, and every epoch shows new ones"
        yield "teacher_cache", config.teacher_cache, rule, "write `views: 8`, or leave teacher_cache out"
    if config.views == 1 and "second_view" in config.objective.reads:
        rule = f"{config.objective.name}, as it is set, contrasts two views of a sample"
        yield "views", config.views, rule, "raise it to 2 or more"
