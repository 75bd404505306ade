"""What a worker does before it takes its first trial, while the rest of the sweep still starts."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from trainables.config import TrialConfig
from trainables.loop import prepare_trials


def prepare(
    config: Mapping[str, Any], *, workspace: str, share: int, shares: int, progress: Callable[[str], None]
) -> None:
    """Have all imported that a first trial would import on its way, then data, teacher and its outputs at hand.

    `config` is a trial of the sweep, `workspace` its storage folder. Called by worker `share` of `shares`, who fill the
    cache of the teacher's outputs together; `progress` takes a line for whoever watches.
    """
    progress("warms up")
    _take_a_step(TrialConfig.model_validate(config))
    progress("waits for the teacher")
    prepare_trials(
        config, workspace, share, shares, lambda done, parts: progress(f"teacher's outputs: part {done} of {parts}")
    )


def _take_a_step(trial: TrialConfig) -> None:
    """The first backward pass and the first optimiser of a process import and start much of torch."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = trial.optimizer.build([weight])
    (weight * weight).sum().backward()
    optimizer.step()
