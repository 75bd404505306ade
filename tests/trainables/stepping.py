"""Training steps without rungs: as the loop makes them, with nothing measured, for many combinations in little time."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.trainables.trials import shown_to
from trainables.compute import Meter
from trainables.config import TrialConfig
from trainables.step import Samples, TrainingStep
from trainables.world import GroupWorld, SingleWorld


@dataclass
class Stepped:
    """A trial in mid-training, and what its steps left."""

    config: TrialConfig
    losses: list[float] = field(default_factory=list)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    sent_bytes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.training = TrainingStep(self.config)
        self.optimizer = self.config.optimizer.build(self.training.parameters())
        self.meter = Meter(self.config.device)

    def run(self, steps: range, world: GroupWorld | SingleWorld | None = None) -> "Stepped":
        """Train these steps; several workers take equal shares of each batch."""
        world = world or SingleWorld()
        task = self.config.task.load()
        for step in steps:
            sent_before = world.sent_bytes
            batch_B = (torch.arange(self.config.batch_size) * 61 + 7 * step) % self.config.task.source_samples
            sample_B = batch_B.chunk(world.size)[world.rank]
            views = (task.views(sample_B, step, seed) for seed in range(2))
            images, second = views
            samples = Samples(sample_B, shown_to(self.config, images), task.source.label_N, second)
            taken = self.training(samples, step, world)
            self.optimizer.zero_grad()
            taken.loss.backward()
            loss = taken.loss.detach().clone()
            world.mean_([loss, *(p.grad for p in self.training.parameters() if p.grad is not None)])
            self.losses.append(float(loss))
            self.optimizer.step()
            self.training.commit(taken)
            self.training.charge(self.meter, taken)
            self.sent_bytes.append(world.sent_bytes - sent_before)
        self.gradients = {n: p.grad.clone() for n, p in self.training.named_parameters() if p.grad is not None}
        return self

    def state(self) -> dict[str, Tensor]:
        """All that the trial has learned and remembers, and its momentum."""
        momenta = {
            f"optimizer/{number}": entry["momentum_buffer"]
            for number, entry in self.optimizer.state_dict()["state"].items()
        }
        return dict(self.training.state_dict()) | momenta
