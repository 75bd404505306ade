"""MLflow's own pages over a sweep's results, on loopback."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from search_spaces.secrets import redacted
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.tracking.uri import VARIABLE, tracking_uri

HOST = "127.0.0.1"


def serve(results: Results, port: int) -> None:
    """Serve MLflow on 127.0.0.1 until SIGINT or SIGTERM. `Refusal` if there is nothing to show or the port is taken."""
    uri = tracking_uri(results)
    if uri.startswith("http"):
        Console().print(f"MLFLOW_TRACKING_URI is a server: open {redacted(uri)}", highlight=False)
        return
    if uri.startswith("sqlite") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise Refusal(f"MLflow has no results at {redacted(uri)} yet. Run a sweep, or give its --storage")
    _check_free(port)
    Console().print(f"MLflow: http://{HOST}:{port} (Ctrl-C ends it)", highlight=False)
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    # A process group of its own: the server has children that would outlive it.
    server = subprocess.Popen(command, env=_environment(uri), start_new_session=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if server.wait() != 0:
            raise Refusal(f"MLflow's server ended with code {server.returncode}; it says why above")
    except KeyboardInterrupt:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _environment(uri: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return {
        **environment,
        "MLFLOW_BACKEND_STORE_URI": uri,  # an argument with its password would be seen by every user of the machine
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",  # a model that somebody logged may be code
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job runner serves no sweep and costs eight processes
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Refusal(f"port {port} on {HOST} must be free, but: {error}. Give another --port") from error
