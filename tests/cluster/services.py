"""What a sweep on a cluster meets, as real processes on loopback: PostgreSQL, MLflow with logins, S3, Ray's nodes."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from tests.postgresql import postgresql

HOST = "127.0.0.1"
HEAD = "127.0.0.2"  # on loopback too; the former Ray would replace by the address of the machine
BUCKET = "sweeps"
USER, PASSWORD = "sweeper", secrets.token_hex(12)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server, with all that it started ended at the end."""
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **environment})
    try:
        yield server
    finally:
        end(server.pid)
        server.wait()


def end(pid: int) -> None:
    """End a process and its children."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=10)


def wait_for(url: str, log: Path, seconds: float = 90) -> None:
    """Until a server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)
        else:
            return


@dataclass
class Services:
    """What drivers and users need to reach them, as environment variables; the dashboard of Ray, and its nodes."""

    folder: Path
    environment: dict[str, str]
    dashboard: str = ""
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def storage(self) -> str:
        return f"s3://{BUCKET}/results"


@contextmanager
def services(folder: Path, nodes: int) -> Iterator[Services]:
    """All of them. Ray has a head without slots, and nodes with one core each."""
    with ExitStack() as stack:
        server = stack.enter_context(postgresql())
        for name in ("mlflow", "logins", "ledgers"):
            _create_database(server, name)
        s3 = f"http://{HOST}:{free_port()}"
        environment = {
            "AWS_ENDPOINT_URL": s3,
            "MLFLOW_S3_ENDPOINT_URL": s3,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # jobs run `python`
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SWEEPS_LEDGER": _database(server, "ledgers"),
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "180",  # tests share their cores with others
        }
        moto = Path(sys.executable).with_name("moto_server")
        stack.enter_context(process([str(moto), "-H", HOST, "-p", s3.rpartition(":")[2]], folder / "s3.log", {}))
        environment["MLFLOW_TRACKING_URI"] = stack.enter_context(_mlflow(folder, server, environment))
        wait_for(s3, folder / "s3.log")
        urllib.request.urlopen(urllib.request.Request(f"{s3}/{BUCKET}", method="PUT")).close()
        found = Services(folder, environment)
        stack.enter_context(_ray(found, nodes))
        yield found


@contextmanager
def _mlflow(folder: Path, server: str, environment: dict[str, str]) -> Iterator[str]:
    """An MLflow server with logins, its tables in PostgreSQL and its files in S3."""
    logins = folder / "logins.ini"
    logins.write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = {_database(server, 'logins')}\n"
        f"admin_username = {USER}\nadmin_password = {PASSWORD}\n"
    )
    port, log = free_port(), folder / "mlflow.log"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--app-name",
        "basic-auth",
        "--host",
        HOST,
        "--port",
        str(port),
    ]
    command += ["--workers", "1", "--artifacts-destination", f"s3://{BUCKET}/mlflow"]
    settings = {
        **environment,
        "MLFLOW_BACKEND_STORE_URI": _database(server, "mlflow"),
        "MLFLOW_AUTH_CONFIG_PATH": str(logins),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with process(command, log, settings):
        wait_for(f"http://{HOST}:{port}/health", log)
        yield f"http://{HOST}:{port}"


@contextmanager
def _ray(found: Services, nodes: int) -> Iterator[None]:
    """Ray's own processes, apart from this one: a test that joined it could do nothing else."""
    port, dashboard = free_port(), free_port()
    found.dashboard = f"http://{HEAD}:{dashboard}"
    head = ["--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--dashboard-host={HEAD}", "--num-cpus=0"]
    with ExitStack() as stack:
        stack.enter_context(_node(found, "head", HEAD, head))
        wait_for(f"{found.dashboard}/api/version", found.folder / "head.log")
        for number in range(nodes):
            joining = [f"--address={HEAD}:{port}", "--num-cpus=1"]
            found.nodes.append(stack.enter_context(_node(found, f"node{number}", f"127.0.0.{number + 3}", joining)))
        yield


@contextmanager
def _node(found: Services, name: str, address: str, options: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """One node, with all that nodes of one machine must have for themselves: one would clear away another's files."""
    temporary = tempfile.mkdtemp(prefix="ray-")  # the names of sockets in it are short
    own = [f"--node-ip-address={address}", f"--temp-dir={temporary}", f"--object-store-memory={80 * 2**20}"]
    own.append(f"--dashboard-agent-listen-port={free_port()}")
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *options, *own]
    with process(command, found.folder / f"{name}.log", found.environment) as node:
        yield node
    shutil.rmtree(temporary, ignore_errors=True)


def _create_database(server: str, name: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()


def _database(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")
