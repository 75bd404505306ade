"""What TPE is told of a study that has grown large: its newest trials, so that a suggestion does not take ever longer.

The time of a suggestion grows with the trials that the sampler looks at, and there is one suggestion for each trial:
0.06 s of CPU at 1,000 trials of `digits.yaml`, 0.26 s at 10,000. So it looks at the newest `MOST` that have ended, and
at all that run. Which these are follows from what was told alone: a resumed sweep is told what an uninterrupted one is.
`python -m benchmarks.told` measures what that costs in quality, beside other ways to choose.
"""

from collections.abc import Container, Iterator
from contextlib import contextmanager

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

#: Trials that have ended, of which TPE is told at most.
MOST = 2_000

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED)


class ToldStorage(InMemoryStorage):
    """A study's trials in memory, of which it shows no more than a sampler is told while that suggests."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[FrozenTrial] | None = None

    @contextmanager
    def showing(self, trials: list[FrozenTrial]) -> Iterator[None]:
        """A block in which the study seems to have these trials."""
        self._shown = trials
        try:
            yield
        finally:
            self._shown = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials, or those that are shown."""
        if self._shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        return [trial for trial in self._shown if states is None or trial.state in states]


def newest(trials: list[FrozenTrial], most: int) -> list[FrozenTrial]:
    """All trials that run, and of those that ended the last `most`, in their order."""
    telling = [trial.number for trial in trials if trial.state in _TELLING]
    if len(telling) <= most:
        return trials
    first = telling[-most]
    return [trial for trial in trials if trial.number >= first or trial.state == TrialState.RUNNING]
