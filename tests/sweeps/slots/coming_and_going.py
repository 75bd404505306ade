"""A cluster of raylets on this machine whose nodes come and go under five slots of half a GPU; prints what was seen.

    python -m tests.sweeps.slots.coming_and_going FOLDER

In a process of its own: a process joins one Ray. Trials wait for files, so nothing depends on how fast anything is.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from search_spaces.policies import SlotClass
from sweeps.refusals import Refusal
from sweeps.slots.cluster import start_ray
from sweeps.slots.slots import SlotPlan, Slots
from tests.sweeps.slots.conftest import FORMULA

SLOTS = 5  # of half a GPU: the first node, of two GPUs, holds four


class Story:
    """The cluster, its slots, and what became of the trials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        first = self.cluster.add_node(num_cpus=SLOTS, num_gpus=2)
        start_ray(self.cluster.address)
        self.names = {first.node_id: "first"}
        plan = SlotPlan([SlotClass(slots=SLOTS, gpus_per_worker=0.5)], run_trial=FORMULA)
        self.slots = Slots(plan, "nodes", "1", str(folder))
        self.pool = self.slots.pool
        self.heard: dict[int, list[Any]] = {}

    def add(self, name: str) -> Any:
        """A node with room for one slot."""
        node = self.cluster.add_node(num_cpus=1, num_gpus=1)
        self.names[node.node_id] = name
        return node

    def placed(self) -> list[str]:
        """For each slot that has workers, in order, the node that they are on."""
        snapshot = ray.get(self.pool.snapshot.remote())
        return [self.names[next(iter(nodes))] for _, nodes in sorted(snapshot["nodes"].items())]

    def waits_until(self, said: Callable[[], bool], seconds: float = 400) -> None:
        """Wait for something that must come."""
        deadline = time.monotonic() + seconds
        while not said():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.placed()}, {ray.get(self.pool.snapshot.remote())}")
            time.sleep(0.1)

    def submit(self, trial: int, until: str) -> None:
        """A trial that waits for a file, and is not stopped at its rungs."""
        self.heard[trial] = []
        ray.get(self.pool.submit.remote(trial, {"steps": 2, "until": until}, 1))
        for rung in range(2):
            ray.get(self.pool.answer.remote(trial, rung, "continue"))

    def event(self, trial: int) -> Any:
        """The next event of a trial; one that lost its workers is tried again."""
        heard = self.heard[trial]
        _, event = ray.get(self.pool.next_event.remote(trial, len(heard)), timeout=400)
        heard.append(event)
        if event.kind == "lost":
            self.pool.retry.remote(trial, event.attempt + 1)
        return event

    def where(self, trial: int) -> str:
        """The node on which the next attempt of a trial starts."""
        while (event := self.event(trial)).kind != "started":
            pass
        return self.names[event.workers[0].node_id]

    def end(self, trial: int) -> dict[str, Any]:
        """The end of a trial."""
        while (event := self.event(trial)).kind != "ended":
            pass
        return {"state": event.state, "attempt": event.attempt}


def refused(plan: SlotPlan) -> str:
    """Why a plan is."""
    try:
        plan.check_fits()
    except Refusal as refusal:
        return str(refusal)
    return ""


def tell(folder: Path) -> dict[str, Any]:
    """What happened."""
    story = Story(folder)
    seen: dict[str, Any] = {}
    story.waits_until(lambda: len(story.placed()) == 4)
    seen["four"] = story.placed()
    snapshot = ray.get(story.pool.snapshot.remote())
    seen["without workers"] = sorted(snapshot["progress"].values())

    seen["refused"] = refused(SlotPlan([SlotClass(slots=1), SlotClass(slots=1, workers=3, gpus_per_worker=1)]))

    second = story.add("second")
    story.waits_until(lambda: len(story.placed()) == 5)
    seen["five"] = sorted(story.placed())

    for trial in range(5):
        story.submit(trial, until="go")
    begun = {story.where(trial): trial for trial in range(5)}
    seen["begun on"] = sorted(begun)
    story.cluster.remove_node(second, allow_graceful=False)
    lost = begun["second"]
    seen["after the loss"] = story.event(lost).kind
    (folder / "go").touch()
    seen["goes on at"] = story.where(lost)
    seen["ends"] = [story.end(trial) for trial in range(5)]
    seen["lost"] = lost
    seen["placed after the loss"] = story.placed()

    third = story.add("third")
    story.waits_until(lambda: len(story.placed()) == 5)
    seen["third"] = sorted(story.placed())
    for trial in range(5, 10):
        story.submit(trial, until="end")
    where = {story.where(trial): trial for trial in range(5, 10)}
    warned = where["third"]
    deadline_ms = int(1000 * (time.time() + 600))
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    accepted, _ = GcsClient(address=story.cluster.address).drain_node(third.node_id, reason, "a test", deadline_ms)
    seen["drain accepted"] = accepted
    seen["after the warning"] = story.event(warned).kind
    seen["left a checkpoint"] = (folder / f"trial-{warned}-rank-0.left").exists()
    (folder / "end").touch()
    seen["then at"] = story.where(warned)
    seen["last ends"] = [story.end(trial) for trial in range(5, 10)]
    seen["warned"] = warned
    seen["failures"] = story.slots.failures
    story.slots.close()
    seen["still running"] = [thread.name for thread in story.slots._threads if thread.is_alive()]
    ray.shutdown()
    story.cluster.shutdown()
    return seen


if __name__ == "__main__":
    print(json.dumps(tell(Path(sys.argv[1]))))
