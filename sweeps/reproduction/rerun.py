"""A trial again: a script, run with the code of whichever checkout is on its path, so it imports nothing of `sweeps`.

Reads a request as JSON from standard input and writes what came out as JSON; see `sweeps.reproduction.process`. One
process for each worker of the trial; they find each other by a file.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.evidence import Task
from trainables.loop import TEACHERS, run_trial
from trainables.outcomes import DamagedFile, NewerFile, RungReport, TrialFailure, Verdict
from trainables.protocols import World
from trainables.storage import Storage
from trainables.teacher import load_teacher
from trainables.world import GroupWorld, SingleWorld


def main() -> None:
    """Do what is asked; with data that are damaged, or others than were asked for, nothing but say so."""
    request = json.load(sys.stdin)
    config = TrialConfig.model_validate(request["config"])
    try:
        task = config.task.load()
    except (DamagedFile, NewerFile) as error:
        answer: dict[str, Any] = {"data_digest": "", "damage": error.message}
    else:
        answer = {"data_digest": task.digest}
        if request["data_digest"] in (None, task.digest):
            answer |= _again(request, config, task)
    if request["rank"] == 0:
        Path(request["answer"]).write_text(json.dumps(answer))


def _again(request: dict[str, Any], config: TrialConfig, task: Task) -> dict[str, Any]:
    world = _world(request)
    torch.set_num_threads(1)  # as a sweep trains its teacher, if nobody has
    load_teacher(config.teacher, task, Storage(request["workspace"]).parent().folder(TEACHERS))
    torch.set_num_threads(request["threads"])
    reports: list[RungReport] = []

    def report(rung: RungReport) -> Verdict:
        reports.append(rung)
        return "stop" if rung.rung in request["stops"] else "continue"

    try:
        outcome = run_trial(
            request["config"], trial=request["trial"], workspace=request["workspace"], report=report, world=world
        )
    except TrialFailure as failure:
        ended: dict[str, Any] = {"failure": str(failure)}
    else:
        ended = {"outcome": asdict(outcome)}
    if world.size > 1:
        dist.destroy_process_group()
    return {
        "planned": planned_metrics(config, request["trials"]),
        "reports": [asdict(each) for each in reports],
        **ended,
    }


def _world(request: dict[str, Any]) -> World:
    if request["workers"] == 1:
        return SingleWorld()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are on this machine
    dist.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"file://{request['meeting']}",
        rank=request["rank"],
        world_size=request["workers"],
    )
    return GroupWorld()


if __name__ == "__main__":
    main()
