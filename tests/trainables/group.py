"""A group of workers on this machine, and what a trial leaves behind on each of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from tests.trainables.stepping import Stepped
from tests.trainables.trials import Listener, checkpoints_in, train
from trainables.compute import Meter
from trainables.config import TrialConfig
from trainables.outcomes import Outcome, RungReport
from trainables.protocols import World
from trainables.step import TrainingStep
from trainables.world import GroupWorld


@dataclass
class Trained:
    """An outcome, what led to it, and all that its last checkpoint holds."""

    outcome: Outcome
    reports: list[RungReport]
    state: dict[str, Tensor]


@dataclass
class Steps:
    """Losses of some steps, the gradients of the last, the state after it, and bytes sent in each."""

    losses: list[float]
    gradients: dict[str, Tensor]
    state: dict[str, Tensor]
    sent_bytes: list[float]


def take_steps(config: TrialConfig, count: int, world: GroupWorld | None = None) -> Steps:
    """The first steps of a trial, nothing measured."""
    stepped = Stepped(config).run(range(count), world)
    state = {name: tensor.clone() for name, tensor in stepped.state().items()}
    return Steps(stepped.losses, stepped.gradients, state, stepped.sent_bytes)


def train_whole(config: TrialConfig, folder: Path, world: World | None = None) -> Trained:
    """Train, and read the end of it back from the disk."""
    listener = Listener()
    outcome = train(config, folder, listener, world=world)
    training = TrainingStep(config)
    optimizer = config.optimizer.build(training.parameters())
    if world:
        dist.barrier()
    checkpoints_in(folder, config).restore(training, optimizer, Meter(config.device))
    return Trained(outcome, listener.reports, dict(training.state_dict()))


def train_in_group(
    configs: list[TrialConfig], size: int, folder: Path, steps: int | None = None
) -> list[list[Trained]] | list[list[Steps]]:
    """For each rank, what it has of each config: whole trials, or some steps of each."""
    spawn(_rank, (configs, size, folder, steps), nprocs=size)
    return [torch.load(folder / f"rank-{rank}", weights_only=False) for rank in range(size)]


def sent_and_written(size: int, folder: Path, count: int) -> list[tuple[float, int, float, int]]:
    """For each rank, of averaging and gathering `count` floats: bytes sent, as its world counts and as Linux does."""
    spawn(_send, (size, folder, count), nprocs=size)
    return [tuple(torch.load(folder / f"rank-{rank}")) for rank in range(size)]


def _send(rank: int, size: int, folder: Path, count: int) -> None:
    world = _join(rank, size, folder)
    found: list[float] = []
    for exchange in (lambda: world.mean_([torch.ones(count)]), lambda: world.gather(torch.ones(count))):
        sent, written = world.sent_bytes, _written()
        exchange()
        dist.barrier()
        found += [world.sent_bytes - sent, _written() - written]
    torch.save(found, folder / f"rank-{rank}")
    dist.destroy_process_group()


def _written() -> int:
    """Bytes that this process has written, to sockets too."""
    return int(next(line for line in Path("/proc/self/io").read_text().splitlines() if line[:5] == "wchar").split()[1])


def _join(rank: int, size: int, folder: Path) -> GroupWorld:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
    return GroupWorld()


def _rank(rank: int, configs: list[TrialConfig], size: int, folder: Path, steps: int | None) -> None:
    world = _join(rank, size, folder)
    trained: list[Trained] | list[Steps]
    if steps is None:
        trained = [train_whole(config, folder / str(number), world) for number, config in enumerate(configs)]
    else:
        trained = [take_steps(config, steps, world) for config in configs]
    torch.save(trained, folder / f"rank-{rank}")
    dist.barrier()
    dist.destroy_process_group()
