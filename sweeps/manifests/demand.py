"""What a sweep asks of machines, and the command that runs it there: the part that no scheduler changes."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces.policies import Resources
from search_spaces.secrets import redacted
from search_spaces.sweep_file import LoadedSweep, load
from sweeps.ids import check_id
from sweeps.refusals import Refusal, Unsafe


@dataclass(frozen=True)
class Demand:
    """Machines of one kind, `machines` of them, each with room for `workers` workers of Ray Train."""

    machines: int
    workers: int
    cpus: int
    gpus: int

    @classmethod
    def of(cls, resources: Resources, workers_per_machine: int | None) -> "Demand":
        """The fewest machines that hold all slots at once, as they are started. Raises `Refusal`.

        Without a number of workers each machine holds one; where they share a GPU, those that share it.
        """
        if resources.slots == "auto":
            raise Refusal(
                "a manifest says how much it asks for, and resources.slots is auto: as many as there is room for. "
                "Say how many: --set resources.slots=8"
            )
        share = resources.gpus_per_worker
        each = workers_per_machine or (math.floor(1 / share) if 0 < share < 1 else 1)
        whole = resources.slots * resources.workers
        each = min(each, whole)
        return cls(math.ceil(whole / each), each, each * resources.cpus_per_worker, math.ceil(each * share))


@dataclass(frozen=True)
class Job:
    """A sweep file with a place to keep what it finds, under an id that stays when the job is started again."""

    file: Path
    overrides: Sequence[str]
    sweep: str
    storage: str
    loaded: LoadedSweep

    @classmethod
    def of(cls, file: Path, overrides: Sequence[str], sweep: str | None, storage: str) -> "Job":
        """Raises `Refusal` for a file or an id that could not be run, and `Unsafe` for a password."""
        loaded = load(file, overrides)
        job = cls(file, overrides, check_id(sweep or loaded.file.name), storage, loaded)
        if redacted(job.command()) != job.command():
            raise Unsafe(
                "a manifest is read by many, and this one would hold a password: "
                f"{redacted(job.command())}. Leave it out; the environment of the driver is the place for it"
            )
        return job

    def command(self) -> str:
        """One line of shell: `run` the first time, and `resume` when the sweep is known, in the Ray that is there."""
        settings = [word for override in self.overrides for word in ("--set", override)]
        place = ["--storage", self.storage]
        sweeps = "python -m sweeps"
        known = f"{sweeps} status {_quoted(self.sweep, *place)} > /dev/null 2>&1"
        resume = f"exec {sweeps} resume {_quoted(self.sweep, *place, '--address', 'auto')}"
        run = f"exec {sweeps} run {_quoted(self.file, *settings, '--id', self.sweep, *place, '--address', 'auto')}"
        return f"if {known}; then {resume}; else {run}; fi"


def _quoted(*words: object) -> str:
    return shlex.join(map(str, words))
