"""What a step draws at random depends on the step, the view and the worker, and on nothing that ran before."""

import torch
from torch import Tensor

from tests.trainables.trials import BATCH, images_of, shown_to, small_trial
from trainables.models.adapter import Adapter
from trainables.objectives.infonce import InfoNCE
from trainables.step import Samples, TrainingStep

CONFIG = small_trial(student=Adapter(hidden=8), objective=InfoNCE(positive="view"), batch_size=2 * BATCH)


class Pretended:
    """One of two workers, who takes the other one's rows to be its own."""

    size = 2

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def gather(self, tensor_B: Tensor) -> Tensor:
        return torch.cat([tensor_B.detach()] * self.size)

    def mean_(self, tensors: list[Tensor]) -> None:
        pass


def views(step: int, rank: int) -> list[Tensor]:
    """What an adapter, which starts as the identity, makes of the same images in one step: its two views."""
    training, task = TrainingStep(CONFIG), CONFIG.task.load()
    seen: list[Tensor] = []
    training.student.register_forward_hook(lambda *passed: seen.append(passed[-1].detach()))
    shown = shown_to(CONFIG, images_of(task.source)[:BATCH])
    samples = Samples(torch.arange(BATCH), shown, task.source.label_N)
    torch.rand(3)  # what is drawn elsewhere changes nothing
    training(samples, step, Pretended(rank))
    return seen


def test_a_student_draws_anew_in_each_view_step_and_worker_and_repeats_itself() -> None:
    seen = {(step, rank): views(step, rank) for step in (0, 1) for rank in (0, 1)}
    every = [view for pair in seen.values() for view in pair]
    assert len(every) == 8
    assert not any(torch.equal(a, b) for i, a in enumerate(every) for b in every[:i])
    again = views(1, 1)
    assert all(torch.equal(a, b) for a, b in zip(again, seen[1, 1], strict=True))
