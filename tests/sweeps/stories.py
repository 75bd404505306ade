"""Events for tests: the least that says what a test is about."""

from collections.abc import Iterator
from typing import Any

from sweeps.events import Closed, Ended, Event, Opened, Planned, Reported, Started, Worker

GOALS: dict[str, Any] = {"transfer/knn_top1": "maximize", "compute/cost_s": "minimize"}
DATA_DIGEST = "d" * 64


def opened(fence: int = 1) -> Opened:
    return Opened(fence=fence, host="here", pid=1, code_digest="c" * 64, data_digest=DATA_DIGEST, environment={})


def closed(fence: int = 1) -> Closed:
    return Closed(fence=fence, reason="done")


def planned(trial: int, cost: float = 1.0, **config: Any) -> Planned:
    config = config or {"memory": {"name": "queue", "size": 64 * (trial + 1)}, "widths": [1, 2], "teacher": None}
    return Planned(
        trial=trial,
        config=config,
        config_digest=f"{trial:064x}",
        parameters={"memory.size": 64},
        distributions={},
        sampler_attributes={},
        compute={"compute/cost_s": cost, "compute/train_flops": 1e9 * cost},
        rungs=[0.25, 0.5, 0.75, 1.0],
        told=0,
    )


def started(trial: int, attempt: int = 1) -> Started:
    workers = [
        Worker(rank=rank, world_size=2, pid=100 + rank, host="here", node_id="node", experiment="slot-0")
        for rank in range(2)
    ]
    return Started(trial=trial, attempt=attempt, slot=trial % 2, slot_trials=0, workers=workers)


def named(metrics: dict[str, float]) -> dict[str, float]:
    """By their own names: a keyword has no slash."""
    return {name.replace("__", "/"): value for name, value in metrics.items()}


def reported(trial: int, rung: int, knn: float = 0.5, attempt: int = 1, **metrics: float) -> Reported:
    values = {"transfer/knn_top1": knn, **named(metrics)}
    return Reported(
        trial=trial, attempt=attempt, rung=rung, step=10 * (rung + 1), fidelity=(rung + 1) / 4, metrics=values
    )


def ended(trial: int, state: Any = "complete", attempt: int = 1, step: int = 40, **metrics: float) -> Ended:
    return Ended(
        trial=trial,
        attempt=attempt,
        state=state,
        step=step,
        fidelity=1.0,
        metrics=named(metrics),
        weights_digest="b" * 64,
        failure="nan" if state == "failed" else None,
        message="loss is NaN at step 3" if state == "failed" else None,
    )


def trial_story(trial: int, knn: float, cost: float = 1.0, rungs: int = 4) -> Iterator[Event]:
    """A trial from its plan to its good end."""
    yield planned(trial, cost)
    yield started(trial)
    for rung in range(rungs):
        yield reported(trial, rung, knn * (rung + 1) / rungs)
    yield ended(trial, step=10 * rungs, transfer__knn_top1=knn, test__transfer__knn_top1=knn - 0.1)
