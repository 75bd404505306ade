"""What Ray Tune runs for a trial: a proxy that hands the trial to the pool and returns its events as results.

Tune must never end a trial by itself: with reused actors the proxy would not be told, and the worker would train on.
So the scheduler of a sweep always continues, gives its verdicts through the pool, and `Ended` is every trial's last
result. A proxy that is restarted submits again, which changes nothing, and reads the events from the first on.
"""

import json
from dataclasses import asdict
from typing import Any

import ray
from pydantic import TypeAdapter
from ray.tune import Trainable

from sweeps.events import Ended, SlotEvent
from sweeps.slots.pool import find_pool
from sweeps.slots.records import Job

#: A crumb of the head node, wherever the driver is: slots that fill every core leave no CPU for proxies.
RESOURCES = {"node:__internal_head__": 0.001}

_EVENT: TypeAdapter[SlotEvent] = TypeAdapter(SlotEvent)


def tune_config(job: Job) -> dict[str, str]:
    """A job as the config that a Tune searcher suggests: JSON, in which Tune looks for no distributions of its own."""
    return {"job": json.dumps(asdict(job))}


def event_of(result: dict[str, Any]) -> SlotEvent:
    """The event that a Tune result carries, for a scheduler's and a searcher's callbacks."""
    return _EVENT.validate_json(result["event"])


class TrialProxy(Trainable):
    """One Tune trial after another. Its config holds the pool's name and what `tune_config` gives."""

    def setup(self, config: dict[str, Any]) -> None:
        """Look at the config; the trial is submitted by its first `step`."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Turn to another trial."""
        self._pool = find_pool(new_config["pool"])
        self._job = json.loads(new_config["job"])
        self._heard = 0
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next event of the trial."""
        if self._heard == 0:
            ray.get(self._pool.submit.remote(**self._job))  # calls of an async actor may overtake each other
        self._heard, event = ray.get(self._pool.next_event.remote(self._job["trial"], self._heard))
        # JSON again: Tune flattens results at "/", which names of metrics hold
        return {"event": event.model_dump_json(), "done": isinstance(event, Ended)}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:  # noqa: ARG002
        """Nothing to keep: checkpoints of trials are the workers' business."""
        return {}
