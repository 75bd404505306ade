"""What a student's frozen features are worth: every probe on every transfer set of its task."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

from trainables.config import TrialConfig
from trainables.evidence import Evidence, Features, Probe, Score, Task
from trainables.image_sets import ImageSet, evaluation_sets
from trainables.metrics import gain_metric, on_test, transfer_metric
from trainables.outcomes import TrialFailure
from trainables.teacher import Shown
from trainables.teacher_cache import TeacherCache

#: Features (N, F) of what it is shown, in evaluation mode.
Network = Callable[[Shown], Tensor]

Known = TypeVar("Known")


class Measurements:
    """The probes of one trial, on image sets that every trial of its task is measured on."""

    def __init__(self, config: TrialConfig, task: Task, teacher: TeacherCache) -> None:
        self.config, self.teacher = config, teacher
        self.sets = evaluation_sets(task)
        self._raw = None if config.student.reads == "images" else Measured(self, lambda shown: shown.teacher.features)

    def of(self, student: Network) -> "Measured":
        """The measures of a student as it is now; where it reads the teacher's features, with what it gains on them."""
        return Measured(self, student, self._raw)


class Measured:
    """One student at one time: its features of a set, and what is fitted on them, are worked out once."""

    def __init__(self, of: Measurements, student: Network, raw: "Measured | None" = None) -> None:
        self.sets, self.teacher, self.student, self.raw = of.sets, of.teacher, student, raw
        self.probes = of.config.evaluation.probes()
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

    def _fitted(self, probe: Probe, train: ImageSet) -> Score:
        nothing = Features(torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, dtype=torch.long))
        if probe.at_rungs:
            return probe.fit(Evidence(self._features(train), nothing, nothing))
        source, view = self._features(self.sets.source), self._features(self.sets.source_view)
        return probe.fit(Evidence(self._features(train), source, view))

    def _features(self, image_set: ImageSet) -> Features:
        return self._once((image_set.name,), lambda: self._shown(image_set))

    def _shown(self, image_set: ImageSet) -> Features:
        shown = self.teacher.shown(image_set)
        with torch.no_grad():
            student_NF = self.student(shown)
        if not student_NF.isfinite().all():
            told = "the student's features must be finite, but some are not; lower optimizer.learning_rate"
            raise TrialFailure("nan", told)
        return Features(student_NF, shown.teacher.features, image_set.label_N)

    def _once(self, key: tuple[Any, ...], work_out: Callable[[], Known]) -> Known:
        if key not in self._known:
            self._known[key] = work_out()
        known: Known = self._known[key]
        return known
