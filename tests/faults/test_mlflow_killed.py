"""P5: an MLflow server that is killed, started again and answers with errors costs a sweep nothing."""

import random
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest

from sweeps.results import Results
from sweeps.tracking.mirror import MlflowWriter, sync
from sweeps.tracking.of_sweep import tracking
from tests.faults.killed_driver import settings, slow
from tests.faults.lengths import LONG, count
from tests.faults.test_driver_killed import content
from tests.sweeps.plain_slot import PlainSlot, driving, smoke
from tests.sweeps.tracking.test_mirror_server import free_port, start_server

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not LONG, reason="minutes of MLflow: make faults (tests/sweeps/tracking/test_mirror_server.py is short)"
    ),
]

RESTARTS = 10
REFUSED = 0.3  # of all requests


class Faulty(BaseHTTPRequestHandler):
    """Passes requests on to a server, and answers some by itself, with 500: before the server has it, or after."""

    server: "FaultyServer"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        refused = self.server.draw.random() < REFUSED
        if refused and self.server.draw.random() < 0.5:
            self.answer(500, b"")
            return
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        request = urllib.request.Request(self.server.behind + self.path, body or None, kept, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=30) as found:
                status, text = found.status, found.read()
        except HTTPError as error:
            status, text = error.code, error.read()
        except OSError:
            status, text = 502, b""
        self.answer(*((500, b"") if refused else (status, text)))

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any

    def answer(self, status: int, text: bytes) -> None:
        self.server.refused += status == 500
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class FaultyServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Faulty)
        self.behind, self.draw, self.refused = behind, random.Random(0), 0


@contextmanager
def faulty(behind: str) -> Iterator[FaultyServer]:
    server = FaultyServer(behind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_everything_arrives_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    behind = f"http://127.0.0.1:{free_port()}"
    ended, kills, processes = threading.Event(), 0, list[subprocess.Popen[bytes]]()

    def restart() -> None:
        nonlocal kills
        while not ended.is_set() and kills < RESTARTS:
            processes.append(start_server(behind, tmp_path))
            ended.wait(random.Random(kills).uniform(0.5, 3))
            processes[-1].kill()
            processes[-1].wait()
            kills += 1
            time.sleep(1)

    with (
        faulty(behind) as server,
        driving(tmp_path / "sweep", smoke(*settings(trials=60)), slot := PlainSlot(slow)) as driver,
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        restarts = threading.Thread(target=restart)
        restarts.start()
        mirror = tracking("sweep", driver.ledger.spec, Results(str(tmp_path)))
        writer = MlflowWriter(tmp_path / "sweep", mirror, interval_s=0.1)
        complaints = set()
        while job := driver.next_trial():
            slot.run(driver, job)
            complaints.add(writer.last_error)
        restarts.join()
        complaints.add(writer.last_error)
        assert complaints - {None}, "the writer never noticed"
        processes.append(start_server(behind, tmp_path))
        deadline = time.monotonic() + 300
        while not writer.flush(5) and time.monotonic() < deadline:
            pass
        assert writer.drain(5)
        assert kills == RESTARTS
        assert server.refused > 20
        refused = server.refused
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    sync(tmp_path / "sweep", tracking("sweep", driver.ledger.spec, Results(str(tmp_path))))
    found = content(behind)
    processes[-1].terminate()
    processes[-1].wait(20)
    assert found == content(f"sqlite:///{tmp_path / 'mlflow.db'}")
    count("P5 MLflow server killed", kills=kills, answers_500=refused, runs=len(found), lost=0, double=0)
