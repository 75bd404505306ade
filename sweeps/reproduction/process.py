"""Runs a trial again in processes of their own, with the code of a given checkout."""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from search_spaces.secrets import redacted
from sweeps.refusals import Refusal, Unsafe
from sweeps.results import Results
from trainables.storage import Storage

_SCRIPT = Path(__file__).with_name("rerun.py")


@dataclass(frozen=True)
class Request:
    """What is run again. `stops` are the rungs at which the trial was told to stop; `trials` those of its sweep, which
    share the teacher. With a `data_digest`, nothing is trained on other data. `gpus` are those of each worker."""

    config: Mapping[str, Any]
    trial: int
    trials: int
    stops: tuple[int, ...]
    data_digest: str | None
    threads: int
    gpus: float = 0.0

    @property
    def workers(self) -> int:
        """Processes that train it together."""
        return int(self.config.get("workers", 1))


@dataclass(frozen=True, kw_only=True)
class Again:
    """What came out: planned compute, what was reported at each rung, and how it ended, or why it failed.

    With `damage`, data could not be read, and nothing was trained.
    """

    data_digest: str
    damage: str | None = None
    planned: dict[str, float] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    outcome: dict[str, Any] | None = None
    failure: str | None = None


def run_again(request: Request, code: Path, results: Results) -> Again:
    """Train with the code in the folder `code`, from the start; teachers are those of `results`.

    Raises `Unsafe` if the data are not those that were asked for, and `Refusal` if a process ends without an answer.
    """
    workspace = Storage(results.folder(f".reproducing-{uuid.uuid4().hex[:8]}"))  # beside the teachers
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.callback(workspace.delete_all)
        processes = []
        for rank in range(request.workers):
            processes.append(stack.enter_context(_worker(request, rank, code, Path(folder), workspace.uri)))
            stack.callback(processes[-1].kill)  # before it is waited for
        for process in processes:
            process.wait()
        _check(processes, Path(folder))
        again = Again(**json.loads((Path(folder) / "answer.json").read_text()))
    if again.damage:
        raise Unsafe(f"a trial is reproduced on its own data, and: {again.damage}")
    if request.data_digest not in (None, again.data_digest):
        raise Unsafe(
            f"a trial is reproduced on its own data, digest {request.data_digest}, and what is here has "
            f"{again.data_digest}. Restore the data"
        )
    return again


def _worker(request: Request, rank: int, code: Path, folder: Path, workspace: str) -> subprocess.Popen[str]:
    """A process with its request given to it."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": str(request.threads),  # as Ray tells a worker: probes are fitted by other libraries
    }
    if not request.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    elif request.workers > 1:
        environment["CUDA_VISIBLE_DEVICES"] = str(rank)
    with (folder / f"{rank}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)], stdin=subprocess.PIPE, stderr=log, env=environment, text=True
        )
    told = {
        **{name: value for name, value in vars(request).items() if name != "gpus"},
        "workers": request.workers,
        "rank": rank,
        "workspace": workspace,
        "meeting": str(folder / "meeting"),
        "answer": str(folder / "answer.json"),
    }
    assert process.stdin
    process.stdin.write(json.dumps(told))
    process.stdin.close()
    return process


def _check(processes: list[subprocess.Popen[str]], folder: Path) -> None:
    for rank, process in enumerate(processes):
        if process.returncode:
            said = (folder / f"{rank}.log").read_text().strip().splitlines() or ["it said nothing"]
            raise Refusal(
                f"a trial runs again in a process of its own, and that of worker {rank} ended with code "
                f"{process.returncode}: {redacted(said[-1])}"
            )


def with_seed(request: Request, seed: int) -> Request:
    """The same trial with another seed: never told to stop."""
    return replace(request, config={**request.config, "seed": seed}, stops=())
