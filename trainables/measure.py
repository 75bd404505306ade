"""What a student's frozen features are worth: every probe on every transfer set of its task."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

from trainables.config import TrialConfig
from trainables.evidence import Evidence, Features, Probe, Score, Task
from trainables.image_sets import ImageSet, evaluation_sets, every_sample
from trainables.metrics import TOP1, gain_metric, on_test, transfer_metric
from trainables.outcomes import TrialFailure
from trainables.teacher import Shown, rows_at_once
from trainables.teacher_cache import TeacherCache

#: Features (N, F) of what it is shown, in evaluation mode.
Network = Callable[[Shown], Tensor]
#: Logits (N, C) of features (N, F): the classifier that a student was trained with.
Classifier = Callable[[Tensor], Tensor]

Known = TypeVar("Known")


class Measurements:
    """The probes of one trial, on image sets that every trial of its task is measured on."""

    def __init__(self, config: TrialConfig, task: Task, teacher: TeacherCache) -> None:
        self.config, self.teacher = config, teacher
        self.sets = evaluation_sets(task)
        reads_features = config.student.reads == "features"
        self._raw = Measured(self, lambda shown: shown.teacher.features) if reads_features else None

    def of(self, student: Network, classifier: Classifier | None = None) -> "Measured":
        """The measures of a student as it is now; where it reads the teacher's features, with what it gains on them.

        With its own `classifier`, its accuracy too on sets that are labelled by the source's classes.
        """
        return Measured(self, student, self._raw, classifier)


class Measured:
    """One student at one time: its features of a set, and what is fitted on them, are worked out once."""

    def __init__(
        self, of: Measurements, student: Network, raw: "Measured | None" = None, classifier: Classifier | None = None
    ) -> None:
        self.sets, self.teacher, self.student, self.raw = of.sets, of.teacher, student, raw
        self.probes, self.classifier = of.config.evaluation.probes(), classifier
        self.rows_at_once = rows_at_once(of.config.task.inputs)
        self.classified = of.config.task.known_names if classifier else ()
        self._known: dict[tuple[Any, ...], Any] = {}

    def quick(self) -> dict[str, float]:
        """The probes at rungs on the validation splits, by metric name."""
        return self._measures([probe for probe in self.probes if probe.at_rungs], "validation")

    def final(self) -> dict[str, float]:
        """Every probe on the validation splits, and, under ``test/``, on the test splits.

        Raises `TrialFailure` if a feature is not finite.
        """
        tested = self._measures(self.probes, "test")
        return self._measures(self.probes, "validation") | {on_test(name): value for name, value in tested.items()}

    def _measures(self, probes: Iterable[Probe], split: str) -> dict[str, float]:
        measures: dict[str, float] = {}
        for name in self.sets.transfer:
            if name in self.classified:
                measures[transfer_metric(name, TOP1)] = self._top1(self._features(self.sets.transfer[name][split]))
            for probe in probes:
                mine = self._scored(probe, name, split)
                measures |= {transfer_metric(name, key): value for key, value in mine.items()}
                if self.raw:
                    raw = self.raw._scored(probe, name, split)
                    measures |= {gain_metric(transfer_metric(name, key)): mine[key] - raw[key] for key in mine}
        return measures

    def _scored(self, probe: Probe, name: str, split: str) -> dict[str, float]:
        train, held_out = self.sets.transfer[name]["train"], self.sets.transfer[name][split]
        score = self._once((probe, train.name), lambda: self._fitted(probe, train))
        return self._once((probe, train.name, held_out.name), lambda: score(self._features(held_out)))

    def _top1(self, held_out: Features) -> float:
        assert self.classifier is not None
        with torch.no_grad():
            chosen_N = self.classifier(held_out.student_NF).argmax(dim=1)
        return (chosen_N == held_out.label_N).float().mean().item()

    def _fitted(self, probe: Probe, train: ImageSet) -> Score:
        nothing = Features(torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, dtype=torch.long))
        if probe.at_rungs:
            return probe.fit(Evidence(self._features(train), nothing, nothing))
        source, view = self._features(self.sets.source), self._features(self.sets.source_view)
        return probe.fit(Evidence(self._features(train), source, view))

    def _features(self, image_set: ImageSet) -> Features:
        return self._once((image_set.name,), lambda: self._shown(image_set))

    def _shown(self, image_set: ImageSet) -> Features:
        teacher, parts = self.teacher.all_rows(image_set), []
        for sample_B in torch.split(every_sample(image_set), self.rows_at_once):
            with torch.no_grad():
                parts.append(self.student(Shown(image_set.images(sample_B), teacher.rows(sample_B))))
        student_NF = parts[0] if len(parts) == 1 else torch.cat(parts)
        if not student_NF.isfinite().all():
            told = "the student's features must be finite, but some are not; lower optimizer.learning_rate"
            raise TrialFailure("nan", told)
        return Features(student_NF, teacher.features, image_set.label_N)

    def _once(self, key: tuple[Any, ...], work_out: Callable[[], Known]) -> Known:
        if key not in self._known:
            self._known[key] = work_out()
        known: Known = self._known[key]
        return known
