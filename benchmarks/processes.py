"""CPU seconds of a process and all that it starts, by what each process is for, from Linux's ``/proc``."""

import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")

#: What the command line of a process says that it is, first match first; what matches nothing is "other".
KINDS = (
    ("Train workers", ("ray::RayTrainWorker",)),
    ("Train controllers", ("ray::TrainController", "ray::SynchronizationActor")),
    ("Tune's trials", ("ray::TrialProxy", "ray::fresh_trial", "ray::ImplicitFunc")),
    ("pool", ("ray::TrialPool",)),
    ("other actors of Ray", ("ray::",)),
    ("daemons of Ray", ("raylet", "gcs_server", "/ray/dashboard/", "/ray/_private/", "/ray/autoscaler/")),
)

#: A process by its number and its start: numbers are used again.
Process = tuple[int, str]


@dataclass(frozen=True)
class Usage:
    """What a command used: seconds of `time.time` at its start and end, and CPU seconds by process at each sample."""

    began: float
    ended: float
    samples: Sequence[tuple[float, Mapping[Process, float]]]
    kinds: Mapping[Process, str]

    @property
    def wall(self) -> float:
        """Seconds from start to end."""
        return self.ended - self.began

    @property
    def core_seconds(self) -> float:
        """CPU seconds of all processes."""
        return sum(self.cpu(self.ended).values())

    def cpu(self, until: float) -> dict[str, float]:
        """CPU seconds by kind of process up to a moment."""
        used = next((used for at, used in reversed(self.samples) if at <= until), {})
        by_kind: dict[str, float] = defaultdict(float)
        for process, seconds in used.items():
            by_kind[self.kinds[process]] += seconds
        return dict(by_kind)


class TreeWatch:
    """Samples the tree below a process until `stop`; what a process used after its last sample is not counted.

    A process that was once seen in the tree stays in it when its parent ends. Its kind is what it was last: Ray starts
    some before it knows what for.
    """

    def __init__(self, pid: int, interval_s: float = 0.1) -> None:
        self.samples: list[tuple[float, Mapping[Process, float]]] = []
        self.kinds: dict[Process, str] = {}
        self._pid, self._interval_s = pid, interval_s
        self._used: dict[Process, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def core_seconds(self) -> float:
        """CPU seconds of all processes up to the last sample."""
        return sum(self.samples[-1][1].values()) if self.samples else 0.0

    def stop(self) -> None:
        """Sample no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._sample()
            if self._stopping.wait(self._interval_s):
                return

    def _sample(self) -> None:
        pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        there = {pid: stat for pid in pids if (stat := _stat(pid))}
        known = {pid for pid, started in self._used if pid in there and there[pid][1] == started} | {self._pid}
        while below := {pid for pid, (parent, _, _) in there.items() if parent in known} - known:
            known |= below
        for pid in known & there.keys():
            _, started, used = there[pid]
            self._used[pid, started] = used
            command = _command(pid)
            if command or (pid, started) not in self.kinds:  # a process that has just ended has none any more
                self.kinds[pid, started] = "driver" if pid == self._pid else kind_of(command)
        self.samples.append((time.time(), dict(self._used)))


def run_watched(command: Sequence[str], log: Path) -> Usage:
    """Run a command to its end, what it prints going to `log`. Raises RuntimeError unless it exits with 0 or 3."""
    began = time.time()
    with log.open("w") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        watch = TreeWatch(process.pid)
        code = process.wait()
        ended = time.time()
        watch.stop()
    if code not in (0, 3):
        raise RuntimeError(f"{' '.join(command)} ended with {code}: {log.read_text()[-2000:]}")
    return Usage(began, ended, watch.samples, watch.kinds)


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
