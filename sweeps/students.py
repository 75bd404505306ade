"""The students that a sweep has trained, from their checkpoints."""

from torch import nn

from sweeps.ledger.history import TrialRecord
from sweeps.refusals import Refusal, Unsafe
from trainables.checkpoint import Checkpoints
from trainables.compute import Meter
from trainables.config import TrialConfig
from trainables.outcomes import DamagedFile, NewerFile
from trainables.step import TrainingStep
from trainables.storage import Storage
from trainables.tensor_files import tensors_digest


def load_student(trial: TrialRecord, sweep: Storage) -> nn.Module:
    """The network that a trial was measured with, on the CPU, in evaluation mode; `sweep` is the sweep's folder.

    Raises `Refusal` for a trial that has not ended well or whose checkpoints are gone, and `Unsafe` where these are not
    the weights on record.
    """
    if trial.weights_digest is None:
        raise Refusal(f"a student is that of a trial that has ended well, and trial {trial.number} is {trial.state}")
    config = TrialConfig.model_validate(trial.config)
    training = TrainingStep(config)
    optimizer = config.optimizer.build(training.parameters())
    checkpoints = Checkpoints(sweep.folder(f"trials/{trial.number}"), config.digest())
    try:
        progress = checkpoints.restore(training, optimizer, Meter(config.device))
    except (DamagedFile, NewerFile) as error:
        raise Unsafe(error.message) from error
    if progress.step == 0:
        raise Refusal(f"a student is read from its checkpoint, and {checkpoints.storage.uri} holds none. Restore it")
    found = tensors_digest(dict(training.result.state_dict()))
    if found != trial.weights_digest:
        raise Unsafe(
            f"the weights of trial {trial.number} have the digest {found}, and {trial.weights_digest} is on record. "
            f"Restore {checkpoints.storage.uri}"
        )
    return training.result.requires_grad_(False).eval()
