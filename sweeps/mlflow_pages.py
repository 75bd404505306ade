"""MLflow's own pages over a sweep's results, on loopback."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from sweeps.refusals import Refusal, redacted
from sweeps.tracking import tracking_uri


def serve(storage: Path, port: int) -> None:
    """Serve MLflow on 127.0.0.1 until it is ended. `Refusal` if there is nothing to show or the port is taken."""
    uri = tracking_uri(storage)
    if uri.startswith("http"):
        Console().print(f"MLFLOW_TRACKING_URI is a server: open {redacted(uri)}", highlight=False)
        return
    if uri.startswith("sqlite") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise Refusal(f"MLflow has no results at {redacted(uri)} yet. Run a sweep, or give its --storage")
    Console().print(f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it)", highlight=False)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Its job runner serves no sweep and costs eight processes.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(command, env=environment)
    try:
        if server.wait() != 0:
            raise Refusal(
                f"MLflow's server ended with code {server.returncode}. Is port {port} taken? Give another --port"
            )
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
