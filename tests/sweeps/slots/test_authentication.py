"""Ray asks for a token that only its user can read, and clusters that do not ask are not joined."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from sweeps.refusals import Refusal, Unsafe
from sweeps.slots.authentication import _make, answer_to_a_stranger, keep_token_private, refuse_open_cluster
from sweeps.slots.cluster import start_ray


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray" / "auth_token"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_token_is_made_for_its_user_alone(token: Path) -> None:
    before = os.umask(0)
    try:
        _make(token)  # never readable, not even for an instant
        assert mode(token) == 0o600
        keep_token_private()
    finally:
        os.umask(before)
    assert mode(token) == 0o600
    assert len(token.read_text()) == 64
    assert list(token.parent.iterdir()) == [token]
    made = token.read_text()
    keep_token_private()
    assert token.read_text() == made


def test_a_token_of_ours_that_others_can_read_is_closed_and_kept(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("made by Ray")
    token.chmod(0o644)
    keep_token_private()
    assert (mode(token), token.read_text()) == (0o600, "made by Ray")


def test_a_token_elsewhere_is_respected(token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "own" / "token"))
    keep_token_private()
    assert mode(tmp_path / "own" / "token") == 0o600
    monkeypatch.setenv("RAY_AUTH_TOKEN", "in the environment")
    (tmp_path / "own" / "token").unlink()
    keep_token_private()
    assert not token.exists()
    assert not (tmp_path / "own" / "token").exists()


def test_a_token_that_cannot_be_kept_is_refused(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/proc/token")
    with pytest.raises(Refusal, match="RAY_AUTH_TOKEN_PATH"):
        keep_token_private()
    assert not token.exists()


class Gcs(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer):
    """Ray's GCS as far as a stranger gets."""

    def __init__(self, closed: bool) -> None:
        self.closed = closed

    def GetClusterId(self, request: object, context: grpc.ServicerContext) -> object:  # noqa: ARG002
        if self.closed:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return gcs_service_pb2.GetClusterIdReply(cluster_id=b"x")


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(Gcs(request.param == "closed"), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.mark.parametrize("address", ["open"], indirect=True)
def test_a_cluster_that_asks_nobody_is_not_joined(address: str) -> None:
    with pytest.raises(Unsafe, match=f"the one at {address} answers anybody"):
        start_ray(address)


@pytest.mark.parametrize("address", ["closed"], indirect=True)
def test_a_cluster_that_asks_may_be_joined(address: str) -> None:
    assert answer_to_a_stranger(address) == "closed"
    refuse_open_cluster(address)


def test_a_cluster_that_is_not_there_is_said() -> None:
    with pytest.raises(Refusal, match=r"none answers at 127\.0\.0\.1:9"):
        refuse_open_cluster("127.0.0.1:9")


STARTED = """
import ray
from sweeps.doctor.leftovers import placement_groups
from sweeps.doctor.ports import reachable
from sweeps.slots.authentication import answer_to_a_stranger
from sweeps.slots.cluster import start_ray
start_ray(cpus=1)
print(answer_to_a_stranger(ray.get_runtime_context().gcs_address))
print([finding.state for finding in reachable()])
address = ray.get_runtime_context().gcs_address
print([finding.state for finding in placement_groups() if address in finding.found])
"""


@pytest.mark.timeout(120)
def test_ray_started_here_asks_for_the_token_whatever_the_environment_says(token: Path) -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "127.0.0.1:1", "PYTHONPATH": "."}
    command = [sys.executable, "-c", STARTED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["closed", "['ok']", "['ok']"], done.stderr
    assert mode(token) == 0o600
