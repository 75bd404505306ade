"""Why the workers of a slot died, as far as Ray knows: told to the pool by the slot's controller, before they restart.

A worker that the kernel killed for its memory looks like any other that was killed: only Ray's memory monitor says so.
"""

import logging
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError
from ray.train import UserCallback

from sweeps.slots.pool import find_pool

log = logging.getLogger(__name__)


class Losses(UserCallback):
    """Speaks for one slot, in the process of its controller."""

    def __init__(self, pool: str, slot: int) -> None:
        self.pool, self.slot = pool, slot

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:  # noqa: ARG002
        """Some workers ended with an error, or died: the pool is told at once, not when their successors are there."""
        starved = starvation(worker_exceptions)
        try:
            pool = find_pool(self.pool)
            ray.get(pool.starve.remote(self.slot, starved) if starved else pool.vacate.remote(self.slot))
        except (RayError, ValueError) as error:
            log.warning("the pool %s did not hear that slot %d lost its workers: %s", self.pool, self.slot, error)


def starvation(worker_exceptions: dict[int, Exception]) -> str | None:
    """What to tell of workers that Ray's memory monitor killed; None if it killed none."""
    for rank, error in worker_exceptions.items():
        cause = getattr(error, "health_check_failure", error)  # Ray Train wraps what it saw when it looked after them
        if isinstance(cause, OutOfMemoryError):
            told = str(cause).strip().splitlines() or ["no reason was given"]
            return (
                f"memory ran out, and Ray killed worker {rank} of the trial: {told[0]} A trial of this size is not "
                "tried again; bound its memory or batch size in the space, or give the sweep fewer slots"
            )
    return None
