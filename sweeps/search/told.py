"""What a sampler is shown of a study that has grown large: enough to suggest as well, in a time that does not grow.

A suggestion of multi-objective TPE takes a time that grows with the trials that it is told of (0.06 s of CPU at 1,000,
0.26 s at 10,000, for `digits.yaml`), and there is one for each trial. Above `MOST` trials that have ended it is shown
the best half of so many, by the fronts on which they lie, and the newest for the rest. Both follow from what was told
alone: a resumed sweep is shown what an uninterrupted one would have been. What this costs in quality, and what it
saves, is what `python -m benchmarks.told` measures.
"""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

import moocore
import numpy as np
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

#: Trials that have ended, of which a sampler is told at most.
MOST = 1000


class ToldStorage(InMemoryStorage):
    """A study's trials in memory; in a block of `only_told`, the study seems to have no more than a sampler is told."""

    def __init__(self) -> None:
        super().__init__()
        self._told: list[FrozenTrial] | None = None

    @contextmanager
    def only_told(self, study_id: int) -> Iterator[None]:
        """Until the end of the block, trials that have ended are those of `told`; the others come after them."""
        trials = super().get_all_trials(study_id, deepcopy=False)
        shown = told(trials, self.get_study_directions(study_id))
        self._told = shown if len(shown) < len(trials) else None
        try:
            yield
        finally:
            self._told = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials, or those that a sampler is told of; a trial that begins in the block is not among these."""
        if self._told is None:
            return super().get_all_trials(study_id, deepcopy, states)
        return [trial for trial in self._told if states is None or trial.state in states]


def told(trials: list[FrozenTrial], directions: list[StudyDirection], most: int = MOST) -> list[FrozenTrial]:
    """The trials of which a sampler is told, in their order: all that run, and at most so many that have ended."""
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(ended) <= most:
        return trials
    complete = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    best = {trial.number for trial in _best_first(complete, directions)[: most // 2]}
    newest = [trial.number for trial in ended if trial.number not in best][len(best) - most :]
    kept = {*best, *newest}
    return [trial for trial in trials if trial.state == TrialState.RUNNING or trial.number in kept]


def _best_first(trials: list[FrozenTrial], directions: list[StudyDirection]) -> list[FrozenTrial]:
    """By the front on which they lie, then by their number."""
    signs = [-1 if direction == StudyDirection.MAXIMIZE else 1 for direction in directions]
    if not trials:
        return []
    values: Any = np.array([trial.values for trial in trials]) * signs
    ranks = moocore.pareto_rank(values) if len(signs) > 1 else np.argsort(np.argsort(values[:, 0], kind="stable"))
    return [trials[place] for place in np.argsort(ranks, kind="stable")]
