"""Where and in what a trial is trained: a GPU waits for nobody, and half the digits are enough for products."""

from pathlib import Path

import pytest
import torch

from tests.trainables.trials import Listener, checkpoints_in, small_trial, train
from trainables import loop
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
from trainables.memory.queue import Queue
from trainables.metrics import TRAIN_LOSS
from trainables.models.encoder_decoder import EncoderDecoder
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.objectives.likelihood import Likelihood
from trainables.objectives.sum import Sum, Term
from trainables.outcomes import TrialFailure
from trainables.placement import CPU, sent
from trainables.storage import Storage

ALL = Sum(
    terms={
        "crd": Term(objective=CRD()),
        "kd": Term(objective=KD()),
        "likelihood": Term(objective=Likelihood()),
        "views": Term(objective=InfoNCE(positive="view")),
    }
)


def losses(config: TrialConfig, folder: Path) -> list[float]:
    listener = Listener()
    train(config, folder, listener)
    return [report.metrics[TRAIN_LOSS] for report in listener.reports]


@pytest.mark.parametrize(
    "config",
    [
        small_trial(objective=CRD(), memory=Bank(size=900), rungs=12),
        small_trial(objective=ALL, student=EncoderDecoder(width=2, decoder_width=2), rungs=12),
    ],
    ids=["crd", "sum"],
)
def test_products_in_bfloat16_train_nearly_the_same(config: TrialConfig, tmp_path: Path) -> None:
    exact = losses(config, tmp_path / "exact")
    rounded = losses(config.model_copy(update={"precision": "bfloat16"}), tmp_path / "rounded")
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.03)


def test_weights_and_memory_stay_in_float32(tmp_path: Path) -> None:
    config = small_trial(precision="bfloat16", objective=CRD(), memory=Bank(size=900))
    train(config, tmp_path)
    folder = tmp_path / config.digest()
    checkpoint = max(folder.glob("*.safetensors"))
    from safetensors.torch import load_file

    assert {t.dtype for t in load_file(checkpoint).values() if t.is_floating_point()} == {torch.float32, torch.float64}


def test_a_loss_that_is_not_finite_is_found_with_its_step_and_the_loss_before(tmp_path: Path) -> None:
    """It is looked at steps later, at the rung."""
    config = small_trial(rungs=1)
    config = config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"learning_rate": 1e30})})
    with pytest.raises(TrialFailure, match=r"is nan at step \d+ of 12 \(it was [\d.]+ before\)") as failure:
        train(config, tmp_path)
    assert failure.value.kind == "nan"


def test_what_is_where_it_belongs_is_not_copied() -> None:
    tensor = torch.ones(2)
    assert sent(tensor, CPU) is tensor


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("memory", [Bank(size=1083), Queue(size=50)], ids=["bank", "queue"])
def test_a_gpu_trains_what_a_cpu_trains_and_no_step_waits_for_it(
    memory: Bank | Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `full` mode, which draws nothing: random numbers of a GPU are its own."""
    config = small_trial(objective=CRD(), memory=memory, negatives=Uniform(count=12, mode="full"), rungs=1)
    step = loop._Trial._step

    def watched(trial: loop._Trial, number: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if number else "default")  # the first step sets normalisers
        try:
            step(trial, number)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(loop._Trial, "_step", watched)
    device, listener, task = torch.device("cuda", 0), Listener(), config.task.load()
    teacher = loop.open_teacher(config.teacher, task, Storage(str(tmp_path / "gpu")), device)
    loop.distil(config, task, teacher, checkpoints_in(tmp_path, config), listener, device=device)
    expected = losses(config, tmp_path / "cpu")
    assert [report.metrics[TRAIN_LOSS] for report in listener.reports] == pytest.approx(expected, rel=1e-3)
