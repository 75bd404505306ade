"""CPU seconds of a process and all that it starts, by what each process is for, from Linux's ``/proc``."""

import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")

#: What the command line of a process says that it is, first match first; what matches nothing is "other".
KINDS = (
    ("Train workers", ("ray::RayTrainWorker",)),
    ("Train controllers", ("ray::TrainController",)),
    ("Ray Tune's trials", ("ray::TrialProxy", "ray::fresh_trial", "ray::ImplicitFunc")),
    ("pool", ("ray::TrialPool",)),
    ("Ray's other actors", ("ray::",)),
    ("Ray's daemons", ("raylet", "gcs_server", "/ray/dashboard/", "/ray/_private/", "ray/autoscaler")),
)


@dataclass
class Usage:
    """Wall seconds, and CPU seconds by kind of process."""

    began: float
    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def core_seconds(self) -> float:
        """CPU seconds of all processes."""
        return sum(self.cpu.values())


class TreeWatch:
    """Samples the tree below a process until `stop`; what a process used after its last sample is not counted.

    A process that was once seen in the tree stays in it when its parent ends.
    """

    def __init__(self, pid: int, interval_s: float = 0.1) -> None:
        self._pid, self._interval_s = pid, interval_s
        self._seconds: dict[tuple[int, str], float] = {}
        self._command: dict[tuple[int, str], str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far by kind, "driver" for the process itself."""
        seconds: dict[str, float] = defaultdict(float)
        for process, used in list(self._seconds.items()):
            seconds["driver" if process[0] == self._pid else kind_of(self._command[process])] += used
        return dict(seconds)

    def stop(self) -> dict[str, float]:
        """The last `cpu`."""
        self._stopping.set()
        self._thread.join()
        return self.cpu()

    def _run(self) -> None:
        while True:
            self._sample()
            if self._stopping.wait(self._interval_s):
                return

    def _sample(self) -> None:
        pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        there = {pid: stat for pid in pids if (stat := _stat(pid))}
        known = {pid for pid, started in self._seconds if pid in there and there[pid][1] == started} | {self._pid}
        grown = True
        while grown:
            below = {pid for pid, (parent, _, _) in there.items() if parent in known} - known
            known |= below
            grown = bool(below)
        for pid in known & there.keys():
            _, started, used = there[pid]
            self._seconds[pid, started] = used
            self._command[pid, started] = _command(pid) or self._command.get((pid, started), "")


def run_watched(command: Sequence[str], log: Path) -> Usage:
    """Run a command to its end, what it prints going to `log`. Raises `CalledProcessError` unless it exits 0 or 3."""
    usage = Usage(time.time())
    with log.open("w") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        watch = TreeWatch(process.pid)
        code = process.wait()
        usage.wall = time.time() - usage.began
        usage.cpu = watch.stop()
    if code not in (0, 3):
        raise subprocess.CalledProcessError(code, command, log.read_text()[-2000:])
    return usage


def kind_of(command: str) -> str:
    """The kind of a process by its command line."""
    return next((kind for kind, marks in KINDS if any(mark in command for mark in marks)), "other")


def _stat(pid: int) -> tuple[int, str, float] | None:
    """Parent, start and CPU seconds of a process; None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return int(fields[1]), fields[19], (int(fields[11]) + int(fields[12])) / _TICKS


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
