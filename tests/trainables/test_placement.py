"""Where and in what a trial is trained: a GPU waits for nobody, and half the digits are enough for products."""

from pathlib import Path

import pytest
import torch

from tests.trainables.trials import (
    Listener,
    checkpoints_in,
    combination_id,
    each_member_once,
    small_trial,
    train,
)
from trainables import loop
from trainables.config import TrialConfig
from trainables.memory.bank import Bank
from trainables.memory.queue import Queue
from trainables.metrics import TRAIN_LOSS
from trainables.models.adapter import Adapter
from trainables.models.encoder_decoder import EncoderDecoder
from trainables.negatives.label_aware import LabelAware
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


each_gpu_test = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
each_watched_test = pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")


@pytest.fixture
def _no_step_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever waits for the GPU in a step raises, but for the first one, which sets normalisers."""
    step = loop._Trial._step

    def watched(trial: loop._Trial, number: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if number else "default")
        try:
            step(trial, number)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(loop._Trial, "_step", watched)


def losses_on_gpu(config: TrialConfig, folder: Path) -> list[float]:
    device, listener, task = torch.device("cuda", 0), Listener(), config.task.load()
    teacher = loop.open_teacher(config.teacher, task, Storage(str(folder)), device)
    loop.distil(config, task, teacher, checkpoints_in(folder, config), listener, device=device)
    return [report.metrics[TRAIN_LOSS] for report in listener.reports]


@each_gpu_test
@each_watched_test
@pytest.mark.usefixtures("_no_step_waits")
@pytest.mark.parametrize("memory", [Bank(size=1083), Queue(size=50)], ids=["bank", "queue"])
def test_a_gpu_trains_what_a_cpu_trains(memory: Bank | Queue, tmp_path: Path) -> None:
    """In `full` mode, which draws nothing: random numbers of a GPU are its own."""
    config = small_trial(objective=CRD(), memory=memory, negatives=Uniform(count=12, mode="full"), rungs=1)
    expected = losses(config, tmp_path / "cpu")
    assert losses_on_gpu(config, tmp_path / "gpu") == pytest.approx(expected, rel=1e-3)


def unwaiting_trials() -> list[TrialConfig]:
    """All members that promise not to wait (`trainables.loop.distil`), and all modes."""
    modes = [
        small_trial(objective=CRD(), memory=Bank(size=1083), negatives=member(count=12, mode=mode))
        for member in (Uniform, LabelAware)
        for mode in ("exact", "shared", "full")
    ]
    simskip = small_trial(student=Adapter(hidden=8), objective=InfoNCE(positive="view"))
    members = [config for config in each_member_once() if config.memory.name not in ("prototypes", "replay")]
    whole = [
        config.model_copy(update={"memory": Bank(size=1083)}) if config.memory.name == "bank" else config
        for config in members
    ]
    return [*modes, simskip, *whole]


@each_gpu_test
@each_watched_test
@pytest.mark.usefixtures("_no_step_waits")
@pytest.mark.parametrize("config", unwaiting_trials(), ids=combination_id)
def test_no_step_waits_for_a_gpu(config: TrialConfig, tmp_path: Path) -> None:
    losses_on_gpu(config, tmp_path)
