"""How a student is trained: stochastic gradient descent with momentum, and what of its way is kept."""

import math
from collections.abc import Iterable
from typing import Any, Literal, assert_never

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.base import Config


class Optimizer(Config):
    """SGD. What is measured is the student as it is, or, with `averaging`, an average of its weights so far.

    `schedule` scales the learning rate over the planned steps: constant, a cosine down to zero, or the steps of CRD
    (Tian et al. 2020, appendix): a tenth each after 5/8, 3/4 and 7/8 of the training. Under the last two a rung says
    less about the end, because all trials gain when the rate falls. `averaging` is the eta of polynomial-decay
    averaging (Shamir and Zhang 2013, section 4): the average that has seen t steps takes (eta + 1) / (t + eta) of the
    newest weights, so that it looks back over a share of the steps, about 1 / (eta + 1), however many there were.
    With a constant rate a rung then measures what a training of that length would have ended with.
    """

    learning_rate: float = Field(0.05, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Literal["constant", "cosine", "steps"] = "constant"
    averaging: float | None = Field(None, ge=0, le=1e6)

    def build(self, parameters: Iterable[nn.Parameter]) -> "SGD":
        """The optimiser of these parameters."""
        return SGD(parameters, self)

    def learning_rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`."""
        match self.schedule:
            case "constant":
                return self.learning_rate
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            case "steps":
                return float(self.learning_rate * 0.1 ** sum(8 * step >= eighths * steps for eighths in (5, 6, 7)))
            case _:
                assert_never(self.schedule)

    def share_of_newest(self, steps: int) -> float:
        """What the average takes of the weights after step number `steps` (from 1)."""
        return 1.0 if self.averaging is None else (self.averaging + 1) / (steps + self.averaging)


class SGD:
    """The step of `torch.optim.SGD(fused=True)`, without the bookkeeping that for small networks takes longer than it.

    A parameter without a gradient is left as it is, and may get its first one at any step (torch's own fused class
    fails there). `learning_rate` may be set before each step.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], config: Optimizer) -> None:
        self.parameters, self.config = list(parameters), config
        self.learning_rate = config.learning_rate
        self._momenta: dict[int, Tensor] = {}  # by the place of the parameter

    def gradients(self) -> list[Tensor]:
        """Those that the parameters have now."""
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def zero_grad(self) -> None:
        """Take all gradients away."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = {place: parameter for place, parameter in enumerate(self.parameters) if parameter.grad is not None}
        if self.config.momentum:
            new = [place for place in moved if place not in self._momenta]
            self._momenta |= {place: torch.zeros_like(moved[place]) for place in new}
        torch._fused_sgd_(
            list(moved.values()),
            self.gradients(),
            [self._momenta[place] for place in moved if self.config.momentum],
            weight_decay=self.config.weight_decay,
            momentum=self.config.momentum,
            lr=self.learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """As torch has it: by the place of the parameter, its `momentum_buffer`."""
        return {"state": {place: {"momentum_buffer": momentum} for place, momentum in self._momenta.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._momenta = {
            place: entry["momentum_buffer"].clone().to(self.parameters[place].device)
            for place, entry in state["state"].items()
        }
