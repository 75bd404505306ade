"""Whether an MLflow server takes this login, asked over HTTP before a sweep starts: loading mlflow takes seconds."""

import os
from urllib.parse import urlsplit, urlunsplit

import requests

from search_spaces.secrets import redacted
from sweeps.refusals import Refusal

USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"

_PATIENCE_S = 5.0
_REFUSED = (401, 403)


def check_login(uri: str) -> None:
    """Raise `Refusal` if the server at `uri` answers and refuses the login. One that is down is written to later."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    try:
        answer = requests.post(
            f"{address}/api/2.0/mlflow/experiments/search",
            json={"max_results": 1},
            headers=_bearer(),
            auth=_basic(parts.username, parts.password),
            timeout=_PATIENCE_S,
        )
    except requests.RequestException:
        return
    if answer.status_code in _REFUSED:
        raise Refusal(
            f"results go to an MLflow that lets this user in, and {redacted(address)} answers {answer.status_code}. "
            f"Set {USER} and {PASSWORD}, or {TOKEN}"
        )


def _basic(user: str | None, password: str | None) -> tuple[str, str] | None:
    user, password = user or os.environ.get(USER), password or os.environ.get(PASSWORD)
    return (user, password or "") if user else None


def _bearer() -> dict[str, str]:
    token = os.environ.get(TOKEN)
    return {"Authorization": f"Bearer {token}"} if token else {}
