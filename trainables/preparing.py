"""What a worker does before it takes its first trial, while the rest of the sweep still starts."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from trainables.config import TrialConfig


def prepare(
    config: Mapping[str, Any],
    *,
    workspace: str,  # noqa: ARG001
    share: int,  # noqa: ARG001
    shares: int,  # noqa: ARG001
    progress: Callable[[str], None],
) -> None:
    """Have the data at hand, and all imported that a first trial would import on its way.

    `config` is a trial of the sweep, `workspace` its storage folder. Called by worker `share` of `shares`; `progress`
    takes a line for whoever watches. The teacher is trained meanwhile, by the driver.
    """
    trial = TrialConfig.model_validate(config)
    progress("loads the data")
    trial.task.load()
    progress("warms up")
    _take_a_step(trial)


def _take_a_step(trial: TrialConfig) -> None:
    """The first backward pass and the first optimiser of a process import and start much of torch."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = trial.optimizer.build([weight])
    (weight * weight).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
