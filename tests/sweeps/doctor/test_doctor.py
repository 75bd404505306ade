"""Each check of the doctor in its good and in its bad state, which is brought about by real means."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import grpc
import psutil
import pytest
from ray.core.generated import gcs_pb2, gcs_service_pb2, gcs_service_pb2_grpc
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.doctor import authentication, devices, leftovers, mlflow, ports, storage, versions
from sweeps.doctor.finding import Finding, exit_code
from sweeps.provenance import ROOT
from sweeps.results import Results

Groups = gcs_pb2.PlacementGroupTableData


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def states(findings: Iterator[Finding]) -> list[str]:
    return [finding.state for finding in findings]


def test_an_old_python_is_a_problem() -> None:
    assert versions.python_version().state == "ok"
    assert versions.python_version("3.10.14").state == "problem"


def test_a_package_below_its_floor_is_a_security_problem_with_its_reason() -> None:
    assert states(versions.safe_versions()) == ["ok"]
    [old] = versions.safe_versions(lambda name: "2.5.1" if name == "torch" else version(name))
    assert (old.state, old.security) == ("problem", True)
    assert "CVE-2025-32434" in old.found
    assert "'torch>=2.6'" in old.fix


def test_a_version_that_was_not_tested_is_a_warning(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("optuna==4.0.0\nray==2.60.0\n")
    found = versions.as_tested(pins)
    assert found.state == "warning"
    assert found.found == f"optuna {version('optuna')} for 4.0.0"


def test_a_build_of_torch_is_the_version_that_was_tested() -> None:
    assert versions.as_tested(installed=lambda name: f"{version(name)}+cu999".replace("+cpu", "")).state == "ok"


def test_a_taken_port_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [taken] = ports.free_ports({port: "a server"})
    assert (taken.state, taken.found) == ("warning", "Address already in use")
    assert states(ports.free_ports({port: "a server"})) == ["ok"]


SERVE = "import socket, sys, time; s = socket.create_server((sys.argv[1], 0)); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that looks like MLflow's server and listens at the address that the test is given."""
    command = [sys.executable, "-c", SERVE, request.param, "mlflow", "server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


@pytest.mark.parametrize(("server", "exposed"), [("0.0.0.0", True), ("127.0.0.1", False)], indirect=["server"])
def test_a_server_that_others_can_reach_is_a_security_problem(server: subprocess.Popen[str], exposed: bool) -> None:
    found = [finding for finding in ports.reachable() if f"(process {server.pid})" in finding.found]
    assert [(finding.state, finding.security) for finding in found] == [("problem", True)] * exposed


@pytest.mark.parametrize("address", ["127.0.0.1:1", "::1:1", "::ffff:127.0.0.1:1"])
def test_every_spelling_of_loopback_is_known(address: str) -> None:
    assert ports._loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0:1", ":::1", "::ffff:10.0.0.1:1", "192.168.0.1:80"])
def test_what_is_not_loopback_is_not(address: str) -> None:
    assert not ports._loopback(address)


def test_a_token_that_others_can_read_is_a_security_problem(tmp_path: Path) -> None:
    assert states(authentication.ray_authentication()) == ["ok", "ok"]
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    _, found = authentication.ray_authentication()
    assert (found.state, found.security, found.fix) == ("problem", True, f"chmod 600 {token}")
    token.chmod(0o600)
    assert states(authentication.ray_authentication()) == ["ok", "ok"]
    os.chown(token, os.getuid() + 1, -1) if os.getuid() == 0 else pytest.skip("only root can give a file away")
    _, found = authentication.ray_authentication()
    assert (found.state, found.security) == ("problem", True)


def test_authentication_that_was_switched_off_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert states(authentication.ray_authentication()) == ["warning", "ok"]


def test_a_folder_that_is_made_later_is_measured_where_it_will_be(tmp_path: Path) -> None:
    for check in (storage.writable, storage.ledger_commits, storage.room, storage.filesystem):
        assert check(tmp_path / "not" / "yet").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_a_problem() -> None:
    assert storage.writable(Path("/proc/results")).state == "problem"
    assert storage.ledger_commits(Path("/proc/results")).state == "problem"


def test_little_room_and_a_network_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage.room(tmp_path, free=lambda _: 10**8).state == "warning"
    for kind in ("nfs4", "cifs", "fuse.sshfs"):
        mount = SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [mount])  # noqa: B023
        assert storage.filesystem(tmp_path).state == "problem"


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_mlflow_answers_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mlflow.mlflow(Results(str(tmp_path))).state == "ok"
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:c4nary@127.0.0.1:{server.server_port}")
        answered = mlflow.mlflow(Results(str(tmp_path)))
        server.shutdown()
    dead = mlflow.mlflow(Results(str(tmp_path)))
    assert (answered.state, dead.state) == ("ok", "warning")
    assert "answers in" in answered.found
    assert "sync" in dead.fix
    assert "c4nary" not in str((answered, dead))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:/tmp/x")
    assert mlflow.mlflow(Results(str(tmp_path))).state == "problem"


def test_devices_are_named() -> None:
    assert [finding.check for finding in devices.devices()] == ["CPUs", "GPUs"]


def test_a_server_of_ray_without_its_driver_is_found(tmp_path: Path) -> None:
    shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "raylet")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["sh", "-c", f"{tmp_path / 'raylet'} 60 >/dev/null 2>&1 & echo $!"]
    done = subprocess.run(["setsid", *command], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    left = psutil.Process(int(done.stdout))
    try:
        found = leftovers.orphans()
        assert found.state == "warning"
        assert f"raylet ({left.pid})" in found.found
        assert str(left.pid) in found.fix.split()
    finally:
        left.kill()


def test_placement_groups_without_their_creator_are_leaked() -> None:
    actor = b"\x01" * 16
    groups = [
        Groups(name="in use", creator_actor_id=actor),
        Groups(name="job gone", creator_job_dead=True, creator_actor_id=b"\xff" * 16),
        Groups(name="actor gone", creator_actor_id=actor, creator_actor_dead=True),
        Groups(name="of a driver", creator_actor_id=b"\xff" * 16, creator_actor_dead=True),
        Groups(name="given back", creator_job_dead=True, state=Groups.REMOVED),
        Groups(placement_group_id=b"\xab\xcd", creator_job_dead=True),
    ]
    assert leftovers.leaked(groups) == ["job gone", "actor gone", "abcd"]


class Gcs(gcs_service_pb2_grpc.PlacementGroupInfoGcsServiceServicer):
    """Answers as Ray's GCS does, to whoever brings the token."""

    def GetAllPlacementGroup(self, request: object, context: grpc.ServicerContext) -> object:  # noqa: ARG002
        if ("authorization", "Bearer t0ken") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return gcs_service_pb2.GetAllPlacementGroupReply(placement_group_table_data=[Groups(name="one")])


def test_the_gcs_is_asked_with_the_users_token(monkeypatch: pytest.MonkeyPatch) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    gcs_service_pb2_grpc.add_PlacementGroupInfoGcsServiceServicer_to_server(Gcs(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with pytest.raises(grpc.RpcError):
        leftovers.groups_of(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t0ken")
    assert [group.name for group in leftovers.groups_of(address)] == ["one"]
    server.stop(0).wait()


def test_the_worst_finding_decides_the_exit_code() -> None:
    fine, odd = Finding("a", "ok", ""), Finding("b", "warning", "")
    broken, unsafe = Finding("c", "problem", ""), Finding("d", "problem", "", security=True)
    assert [exit_code(found) for found in ([fine, odd], [fine, broken], [broken, unsafe, odd])] == [0, 2, 6]


def test_the_command_tells_every_finding_and_leaves_nothing(tmp_path: Path) -> None:
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.touch(0o644)
    token.chmod(0o644)
    result = CliRunner().invoke(app, ["doctor", "--storage", str(tmp_path / "results"), "--json"])
    told = json.loads(result.stdout)
    assert result.exit_code == told["exit_code"] == 6
    assert len({finding["check"] for finding in told["findings"]}) >= 16
    assert all(finding["fix"] for finding in told["findings"] if finding["state"] != "ok")
    assert not (tmp_path / "results").exists()
    shown = CliRunner().invoke(app, ["doctor", "--storage", str(tmp_path / "results")])
    assert f"-> chmod 600 {token}" in shown.stdout
    assert "problem (security)" in shown.stdout
