"""The MLflow that a sweep would be written to. It is asked over HTTP, since loading mlflow takes seconds."""

import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from search_spaces.secrets import redacted
from sweeps.doctor.finding import Finding
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.tracking.uri import tracking_uri

_PATIENCE_S = 3.0
_OFFLINE = "a sweep runs without it; afterwards: python -m sweeps sync"


def mlflow(results: Results) -> Finding:
    """Whether MLflow answers. Without one a sweep runs all the same, and `sync` writes it later."""
    try:
        uri = tracking_uri(results)
    except Refusal as refusal:
        return Finding("MLflow", "problem", str(refusal), "see there")
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite":
        return Finding(
            "MLflow", "ok", f"a database of its own, {uri.removeprefix('sqlite:///')}: as fast as the ledger"
        )
    if scheme not in ("http", "https"):
        return Finding("MLflow", "ok", f"{redacted(uri)}, which is not asked here")
    return _server(uri)


def _server(uri: str) -> Finding:
    parts = urlsplit(uri)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    address = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=_PATIENCE_S) as answer:
            answer.read(100)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        return Finding("MLflow", "warning", f"{address} does not answer: {redacted(str(error))}", _OFFLINE)
    took_ms = 1000 * (time.perf_counter() - began)
    if parts.scheme == "http" and parts.password and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        found = f"{address} answers in {took_ms:.0f} ms, and is sent a password that others on the way can read"
        return Finding("MLflow", "warning", found, "use https, or a tunnel")
    return Finding("MLflow", "ok", f"{address} answers in {took_ms:.0f} ms")
