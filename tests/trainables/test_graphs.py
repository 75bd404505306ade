"""A student's passes as CUDA graphs are to the last bit what they are kernel by kernel. Needs a GPU."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.models.benchmark import NETWORKS, SMALL
from tests.trainables.test_placement import ALL
from tests.trainables.trials import Killed, Listener, checkpoints_in, small_trial
from trainables import step
from trainables.config import TrialConfig
from trainables.graphs import Captured, channels_last
from trainables.loop import distil, open_teacher
from trainables.memory.bank import Bank
from trainables.metrics import TRAIN_LOSS
from trainables.models import ModelConfig
from trainables.models.encoder_decoder import EncoderDecoder
from trainables.models.mlp import MLP
from trainables.models.resnet import ResNet
from trainables.models.vit import ViT
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.step import TrainingStep
from trainables.storage import Storage

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = torch.device("cuda", 0)
STUDENTS = {name: NETWORKS[name] for name in SMALL} | {"vit": ViT(), "mlp": MLP(width=64)}
CRD_TRIAL = small_trial(
    student=ResNet(depth=8), objective=CRD(), memory=Bank(size=1083), negatives=Uniform(count=64), rungs=12
)
#: With two views a step, and weights that have no part in the features.
SUM_TRIAL = small_trial(objective=ALL, student=EncoderDecoder(width=2, decoder_width=2), rungs=12)


@pytest.fixture(autouse=True)
def _same_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


class Uncaptured:
    """Stands for `Captured`, and has each kernel launched."""

    def __init__(self, student: nn.Module, _: Tensor | None = None) -> None:
        self.student, self.rounds = student, torch.is_autocast_enabled("cuda")

    def __call__(self, inputs: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.rounds, cache_enabled=False):
            features: Tensor = self.student(channels_last(inputs))
            return features


def trained(config: TrialConfig, folder: Path, listener: Listener | None = None) -> tuple[str, list[float]]:
    """The digest of the weights, and the losses at the rungs."""
    task, listener = config.task.load(), listener or Listener()
    teacher = open_teacher(config.teacher, task, Storage(str(folder / "teacher")), GPU)
    outcome = distil(config, task, teacher, checkpoints_in(folder, config), listener, device=GPU)
    return outcome.weights_digest, [report.metrics[TRAIN_LOSS] for report in listener.reports]


def passes(student: nn.Module, call: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Features, gradients and statistics of three steps of descent."""
    found, generator = [], torch.Generator().manual_seed(1)
    for _ in range(3):
        images = torch.rand(8, 3, 32, 32, generator=generator).to(GPU)
        features = call(images)
        student.zero_grad()
        (features.float() * torch.linspace(-1, 1, features.shape[1], device=GPU)).sum().backward()
        found += [features.detach().clone(), *(p.grad.clone() for p in student.parameters() if p.grad is not None)]
        with torch.no_grad():
            for parameter in student.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=1e-3)
    return found + [buffer.clone() for buffer in student.buffers()]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", STUDENTS)
def test_a_captured_pass_is_the_students_own(name: str, precision: torch.dtype) -> None:
    students = []
    for _ in range(2):
        torch.manual_seed(0)
        students.append(STUDENTS[name].build((3, 32, 32)).to(GPU).train())
    with torch.autocast("cuda", precision, enabled=precision != torch.float32, cache_enabled=False):
        expected = passes(students[0], Uncaptured(students[0]))
        found = passes(students[1], Captured(students[1], torch.zeros(8, 3, 32, 32, device=GPU)))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", [CRD_TRIAL, SUM_TRIAL], ids=["crd", "sum"])
def test_a_trial_is_the_one_without(
    config: TrialConfig, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"precision": precision})
    found = trained(config, tmp_path / "captured")
    monkeypatch.setattr(step, "Captured", Uncaptured)
    assert found == trained(config, tmp_path / "eager")


@pytest.mark.parametrize("config", [CRD_TRIAL, SUM_TRIAL], ids=["crd", "sum"])
def test_a_resumed_trial_is_the_uninterrupted_one(config: TrialConfig, tmp_path: Path) -> None:
    digest, losses = trained(config, tmp_path / "whole")
    with pytest.raises(Killed):
        trained(config, tmp_path / "killed", Listener(kill_at=5))
    assert trained(config, tmp_path / "killed") == (digest, losses[5:])


@pytest.mark.parametrize("student", [ResNet(depth=8), MLP(width=64)], ids=["resnet", "mlp"])
def test_memory_goes_back_when_a_trial_ends(student: ModelConfig) -> None:
    def taken() -> int:
        training = TrainingStep(CRD_TRIAL.model_copy(update={"student": student})).to(GPU)
        training.capture()
        del training
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    first = taken()
    assert [taken() for _ in range(3)] == [first] * 3
