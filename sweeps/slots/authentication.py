"""Ray's token authentication: on for what is started here, its token private, and asked of clusters that are joined.

Whoever reaches a Ray cluster without it runs code there as its user. The token is no encryption: between machines use
a network of your own, or a tunnel.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

from sweeps.refusals import Refusal, Unsafe

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

OTHERS = 0o077  # what group and others may do with a file
_PATIENCE_S = 5.0


def token_path() -> Path | None:
    """The file that holds this user's token, or will; None where the token is in the environment."""
    if os.environ.get(TOKEN):
        return None
    given = os.environ.get(TOKEN_PATH)
    return Path(given) if given else Path.home() / ".ray" / "auth_token"


def keep_token_private() -> None:
    """Make the token if there is none, and let nobody else read it: Ray would make a file that everybody can.

    Raises `Refusal` if it cannot be kept.
    """
    path = token_path()
    if path is None:
        return
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_uid == os.getuid() and path.stat().st_mode & OTHERS:
            path.chmod(0o600)
    except OSError as error:
        raise Refusal(
            f"Ray's token is kept in a file that its user alone can read, and {path} cannot be one: {error}. "
            f"Name another in {TOKEN_PATH}"
        ) from error


def _make(path: Path) -> None:
    """A file with a new token, whole or not at all, and never readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    with suppress(FileExistsError):  # another process was faster
        path.hardlink_to(draft)
    draft.unlink()


def refuse_open_cluster(address: str) -> None:
    """Raise `Unsafe` if the cluster at ``host:port`` answers whoever asks, and `Refusal` if it does not answer."""
    match answer_to_a_stranger(address):
        case "open":
            raise Unsafe(
                f"a cluster that is joined asks for a token, and the one at {address} answers anybody: whoever "
                f"reaches it can run code there. Start it with {MODE}=token, or say that this is meant"
            )
        case "silent":
            raise Refusal(
                f"a cluster is joined at the host:port of its GCS, and none answers at {address}. Check the address, "
                "and that the cluster runs"
            )


def answer_to_a_stranger(address: str) -> Literal["open", "closed", "silent"]:
    """What the GCS at ``host:port`` says to a request without a token."""
    import grpc  # with Ray's protocols, of which nobody else needs to know
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        nodes = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        request = gcs_service_pb2.GetClusterIdRequest()
        try:
            nodes.GetClusterId(request, timeout=_PATIENCE_S)
        except grpc.RpcError as error:
            return "closed" if error.code() == grpc.StatusCode.UNAUTHENTICATED else "silent"
    return "open"
