"""What a sweep's ledger says the sweep is, as objects."""

from dataclasses import dataclass
from typing import Self

from search_spaces.draws import CornerDraw
from search_spaces.space import Space
from search_spaces.sweep_file import SweepFile, trial_space
from sweeps.ledger.store import Ledger
from trainables.config import TrialConfig
from trainables.evidence import Task


@dataclass(frozen=True)
class Described:
    """The sweep's file and space. `example` is one of its trials; the task is that of all."""

    file: SweepFile
    space: Space
    example: TrialConfig
    task: Task

    @classmethod
    def by(cls, ledger: Ledger) -> Self:
        """Read from its ledger; the data is loaded."""
        file = SweepFile.model_validate(ledger.spec["file"])
        space = trial_space(file.trial, file.resources)
        example = TrialConfig.model_validate(space.suggest(CornerDraw(False, {})))
        return cls(file, space, example, example.task.load())
