"""Which MLflow a sweep is written to, checked before anything starts. Whether it answers is not: it may be down."""

import os
import re
from urllib.parse import urlsplit

from search_spaces.secrets import redacted
from sweeps.refusals import Refusal
from sweeps.results import Results

VARIABLE = "MLFLOW_TRACKING_URI"

LOCAL_PAGES = "http://127.0.0.1:5000"

_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_SERVERS = {"http", "https", "databricks"}


def tracking_uri(results: Results) -> str:
    """`MLFLOW_TRACKING_URI` if it is set, else a SQLite database in the folder of results.

    Raises `Refusal` for what MLflow does not write to any more, or what is no URI. It may hold a password, so it is
    shown `redacted` only, and passed on by the environment, not by arguments that other users of the machine can see.
    """
    uri = os.environ.get(VARIABLE)
    if not uri:
        if not results.is_local:
            raise Refusal(
                f"results of a sweep whose storage is elsewhere go to an MLflow server or database, and {VARIABLE} is "
                "not set. Set it, to http://host:port for example"
            )
        return f"sqlite:///{results.absolute}/mlflow.db"
    if (rule := _broken(uri)) is not None:
        raise Refusal(
            f"results go to a database or a server: {rule}, and {VARIABLE} is '{redacted(uri)}'. Use "
            "sqlite:////absolute/path/mlflow.db or http://host:port, or unset it"
        )
    return uri


def pages_address(results: Results) -> str:
    """Where MLflow's pages are: at its server, or where `python -m sweeps ui` serves them. Raises `Refusal`."""
    parts = urlsplit(tracking_uri(results))
    if parts.scheme not in ("http", "https"):
        return LOCAL_PAGES
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # a browser asks for a password itself


def _broken(uri: str) -> str | None:
    """The rule that a URI breaks."""
    scheme = uri.partition(":")[0].split("+")[0]
    if ":" not in uri or scheme not in _DATABASES | _SERVERS:
        return f"its scheme is one of {', '.join(sorted(_DATABASES | _SERVERS))}"
    if scheme == "sqlite" and not re.match(r"sqlite:////[^/?]", uri):
        return (
            "a SQLite file has an absolute path, after four slashes"  # a relative one is another file in every folder
        )
    if scheme in ("http", "https") and not _is_server(uri):
        return "a server has a host, and at most a port below 65536"
    return None


def _is_server(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # what it says of ports may quote a password
        return False
