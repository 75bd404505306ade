"""The MLflow writer against a real server."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from sweeps.tracking.mirror import MlflowWriter
from tests.sweeps import stories
from tests.sweeps.tracking.place import Place

pytestmark = pytest.mark.timeout(180)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Where a server shall be, and the list of processes that end with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield f"http://127.0.0.1:{free_port()}", started
    for process in started:
        process.terminate()
        process.wait(20)


def start_server(uri: str, folder: Path) -> subprocess.Popen[bytes]:
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    command = [sys.executable, "-m", "mlflow", "server", "--port", uri.rsplit(":", 1)[1], "--workers", "1", *store]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, **quiet)
    for _ in range(600):
        try:
            urlopen(f"{uri}/health", timeout=1)
            return process
        except (URLError, OSError):
            time.sleep(0.1)
    process.terminate()
    raise TimeoutError("the MLflow server did not come up within a minute")


def failed(writer: MlflowWriter) -> bool:
    return writer.last_error is not None


def test_a_server_that_comes_late_gets_everything_once(
    tmp_path: Path, server: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    uri, started = server
    late = Place(tmp_path, uri)
    late.tell(stories.opened(), *stories.trial_story(0, 0.8))
    writer = MlflowWriter(late.ledger.location, late.tracking, interval_s=0.05)
    while not failed(writer):
        time.sleep(0.05)
    assert not writer.flush(timeout_s=0.1)
    assert (writer.lag, "onnection" in str(writer.last_error)) == (8, True)
    started.append(start_server(uri, tmp_path))
    late.tell(*stories.trial_story(1, 0.9), stories.closed())
    assert writer.drain(timeout_s=60)
    assert (writer.last_error, len(late.runs())) == (None, 3)
    assert late.points(late.trials()[1], "transfer/knn_top1")[-1] == (40, 0.9)
    assert late.content()["0"]["files"] == ["config.json"]
    late.ledger.close()
