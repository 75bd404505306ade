"""Checkpoints of a trial: everything that it needs to go on as if it had never been interrupted."""

import logging
import math
from collections import Counter
from dataclasses import asdict, astuple, dataclass

from torch import Tensor

from trainables.compute import Meter
from trainables.optimizer import SGD
from trainables.outcomes import DamagedFile
from trainables.protocols import Operation
from trainables.step import TrainingStep
from trainables.storage import Storage
from trainables.tensor_files import read_tensors, write_tensors

_LOG = logging.getLogger(__name__)

_GENERATIONS = 2  # a torn newest one still leaves one to go on from


@dataclass
class Progress:
    """How far a trial is, beside its tensors. Random numbers need no state: they are keyed by step and epoch."""

    step: int = 0
    device_seconds: float = 0.0
    loss: float = math.nan  # of the last step


class Checkpoints:
    """The checkpoints of one trial, the newest two kept; each config has a folder of its own inside the trial's."""

    def __init__(self, trial_folder: Storage, config_digest: str) -> None:
        self.storage, self.config_digest = trial_folder.folder(config_digest), config_digest

    def save(self, training: TrainingStep, optimizer: SGD, meter: Meter, progress: Progress) -> None:
        """Write the state after `progress.step` steps."""
        tensors = {f"training/{name}": tensor for name, tensor in training.state_dict().items()}
        tensors |= _optimizer_tensors(optimizer)
        record = {
            "config": self.config_digest,
            "progress": asdict(progress),
            "operations": [[*astuple(operation), times] for operation, times in meter.done.items()],
        }
        write_tensors(self.storage, _name(progress.step), tensors, record)
        for name in self._names()[:-_GENERATIONS]:
            self.storage.delete(f"{name}.json")  # first: without its record a checkpoint does not count
            self.storage.delete(f"{name}.safetensors")

    def restore(self, training: TrainingStep, optimizer: SGD, meter: Meter) -> Progress:
        """Load the newest checkpoint that is whole; a trial that has none yet starts at step 0.

        Raises `DamagedFile` if there are some and all are damaged, or of something else: a trial never starts again
        without a word. Raises `NewerFile` if a newer version wrote the newest.
        """
        refused = []
        for name in reversed(self._names()):
            try:
                return self._restore(name, training, optimizer, meter)
            except (FileNotFoundError, DamagedFile) as error:
                refused.append(error.message if isinstance(error, DamagedFile) else str(error))
                _LOG.warning("not resumed from %s: %s", name, refused[-1])
        if refused:
            raise DamagedFile(
                f"a trial goes on from its newest checkpoint that is whole, and none of the {len(refused)} in "
                f"{self.storage.uri} is: {'; '.join(refused)}. "
                "Restore one, or delete the folder to train from the start"
            )
        return Progress()

    def _restore(self, name: str, training: TrainingStep, optimizer: SGD, meter: Meter) -> Progress:
        tensors, record = read_tensors(self.storage, name)
        if record.get("config", self.config_digest) != self.config_digest:  # older ones do not say
            raise DamagedFile(f"{name} is a checkpoint of the config {record['config']}, not of {self.config_digest}")
        try:
            training.load_state_dict(_under("training/", tensors))
            _load_optimizer(optimizer, _under("optimizer/", tensors))
            meter.done = Counter({Operation(*operation): times for *operation, times in record["operations"]})
            return Progress(**record["progress"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:  # what torch says of other names and shapes
            raise DamagedFile(f"{name} is not a checkpoint of this trial: {error}") from error

    def _names(self) -> list[str]:
        return [name.removesuffix(".json") for name in self.storage.names() if name.endswith(".json")]


def _name(step: int) -> str:
    return f"step-{step:010d}"  # sorts by step


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _optimizer_tensors(optimizer: SGD) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer/{parameter}/{key}": value
        for parameter, entry in state.items()
        for key, value in entry.items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(optimizer: SGD, tensors: dict[str, Tensor]) -> None:
    state = optimizer.state_dict()
    for name, tensor in tensors.items():
        parameter, key = name.split("/")
        state["state"].setdefault(int(parameter), {})[key] = tensor
    optimizer.load_state_dict(state)
