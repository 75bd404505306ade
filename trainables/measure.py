"""What a student's frozen features are worth: every probe on every transfer set of its task."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from trainables.config import TrialConfig
from trainables.evidence import Evidence, Features, ImageSplit, Probe, Task
from trainables.metrics import gain_metric, on_test, transfer_metric
from trainables.randomness import stream_seed
from trainables.teacher import TeacherNetwork

#: Images to features, in evaluation mode.
Network = Callable[[Tensor], Tensor]

_VIEW_SEED = stream_seed(0, "evaluation")  # a view of the source that is no trial's own, and the same for all


class Measurements:
    """The probes of one trial. What the teacher makes of the images is worked out once."""

    def __init__(self, config: TrialConfig, task: Task, teacher: TeacherNetwork) -> None:
        self.config, self.task, self.teacher = config, task, teacher
        self._teacher_features: dict[tuple[str, str], Tensor] = {}
        self._raw: dict[tuple[str, bool], dict[str, float]] = {}

    def at_rung(self, student: Network) -> dict[str, float]:
        """The quick probes on the validation splits, by metric name."""
        return self._measures(student, [probe for probe in self.config.evaluation.probes() if probe.at_rungs])

    def final(self, student: Network) -> dict[str, float]:
        """Every probe on the validation splits, and, under ``test/``, on the test splits."""
        probes = self.config.evaluation.probes()
        on_test_split = self._measures(student, probes, held_out="test")
        return self._measures(student, probes) | {on_test(name): value for name, value in on_test_split.items()}

    def _measures(
        self, student: Network, probes: Sequence[Probe], held_out: Literal["validation", "test"] = "validation"
    ) -> dict[str, float]:
        measures = self._probed(student, probes, held_out)
        if self.config.student.reads == "images":
            return measures
        quick = all(probe.at_rungs for probe in probes)
        if (held_out, quick) not in self._raw:
            self._raw[held_out, quick] = self._probed(self._teacher, probes, held_out)
        raw = self._raw[held_out, quick]
        return measures | {gain_metric(name): value - raw[name] for name, value in measures.items()}

    def _probed(self, student: Network, probes: Sequence[Probe], held_out: str) -> dict[str, float]:
        measures: dict[str, float] = {}
        nothing = Features(torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, dtype=torch.long))
        with_source = not all(probe.at_rungs for probe in probes)
        source, source_view = (
            self._features(student, "source", split) if with_source else nothing for split in ("plain", "view")
        )
        for name in self.task.transfer_sets:
            train, queries = (self._features(student, name, split) for split in ("train", held_out))
            evidence = Evidence(train, queries, source, source_view)
            for probe in probes:
                measures |= {transfer_metric(name, key): value for key, value in probe(evidence).items()}
        return measures

    def _features(self, student: Network, images_of: str, split: str) -> Features:
        shown = self._split(images_of, split)
        with torch.no_grad():
            if (images_of, split) not in self._teacher_features:
                self._teacher_features[images_of, split] = self._teacher(shown.images)
            return Features(student(shown.images), self._teacher_features[images_of, split], shown.label_N)

    def _split(self, images_of: str, split: str) -> ImageSplit:
        if images_of != "source":
            found: ImageSplit = getattr(self.task.transfer_sets[images_of], split)
            return found
        source = self.task.source
        if split == "plain":
            return source
        return ImageSplit(self.task.views(torch.arange(len(source.label_N)), 0, _VIEW_SEED), source.label_N)

    def _teacher(self, images: Tensor) -> Tensor:
        features: Tensor = self.teacher(images)[0]
        return features
