"""A sweep on a cluster, end to end, with real parts: Ray's nodes and jobs, PostgreSQL, MLflow with logins, S3.

Short in `make test`; with ``CLUSTER=long`` (`make cluster-test`) a node is killed, and the sweep stopped and resumed.
"""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from pyarrow import fs

from sweeps.jobs import shipment
from sweeps.provenance import SHIPPED, checkout
from sweeps.refusals import Refusal
from tests.cluster.services import BUCKET, HOST, PASSWORD, USER, Services, end, free_port

ROOT = Path(__file__).parents[2]
SMOKE = "search_spaces/smoke.yaml"

long = pytest.mark.skipif(os.environ.get("CLUSTER") != "long", reason="minutes: make cluster-test")

pytestmark = pytest.mark.timeout(900)


def sweeps(
    cluster: Services, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sweeps", *arguments],
        cwd=ROOT,
        env={**os.environ, **cluster.environment, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def submit(cluster: Services, sweep: str, *settings: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    place = ("--address", cluster.dashboard, "--storage", cluster.storage, "--id", sweep)
    return sweeps(cluster, "submit", SMOKE, *place, *(f"--set={each}" for each in settings), **more)


def follow(cluster: Services, sweep: str) -> str:
    done = sweeps(cluster, "logs", sweep, "--address", cluster.dashboard, "--follow")
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(cluster: Services, sweep: str) -> dict[str, Any]:
    """From storage alone: what a cluster that is gone has left."""
    done = sweeps(cluster, "status", sweep, "--storage", cluster.storage, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def wait_until(true: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def mlflow_runs(cluster: Services, sweep: str) -> list[dict[str, str]]:
    """The tags of a sweep's runs: its own, and those of its trials."""
    uri = cluster.environment["MLFLOW_TRACKING_URI"]
    login = (USER, PASSWORD)
    experiment = requests.get(
        f"{uri}/api/2.0/mlflow/experiments/get-by-name",
        {"experiment_name": "contrastive-sweeps"},
        auth=login,
        timeout=30,
    ).json()["experiment"]["experiment_id"]
    asked = {"experiment_ids": [experiment], "max_results": 1000}
    found = requests.post(f"{uri}/api/2.0/mlflow/runs/search", json=asked, auth=login, timeout=30).json()["runs"]
    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in found]
    names = {each["mlflow.runName"] for each in tags}
    assert sweep in names
    parents = [run["info"]["run_id"] for run in found if run["info"]["run_name"] == sweep]
    return [each for each in tags if each.get("mlflow.parentRunId") in parents]


def checkpoints(cluster: Services, sweep: str) -> set[int]:
    """The trials that have files in S3."""
    store = fs.S3FileSystem(
        access_key="key", secret_key="secret", endpoint_override=cluster.environment["AWS_ENDPOINT_URL"]
    )
    selector = fs.FileSelector(f"{BUCKET}/results/{sweep}/trials", recursive=True)
    return {int(info.path.split("/trials/")[1].split("/")[0]) for info in store.get_file_info(selector) if info.is_file}


def test_a_sweep_that_is_submitted_twice_at_once_runs_once_and_is_read_from_afar(cluster: Services) -> None:
    times = 10 if os.environ.get("CLUSTER") == "long" else 2
    with ThreadPoolExecutor(times) as pool:
        said = list(pool.map(lambda _: submit(cluster, "smoke", "budget.trials=4"), range(times)))
    assert [done.returncode for done in said] == [0] * times, said[0].stderr
    assert sum("submitted to" in done.stdout for done in said) == 1
    assert sum("was submitted before; nothing was started" in done.stdout for done in said) == times - 1
    output = follow(cluster, "smoke")
    assert "Front: complete trials that no other beats" in output
    assert cluster.environment["AWS_SECRET_ACCESS_KEY"] not in output.replace("secret_", "")
    assert status(cluster, "smoke")["trials"]["complete"] >= 1
    assert len(mlflow_runs(cluster, "smoke")) == 4
    assert checkpoints(cluster, "smoke") == {0, 1, 2, 3}
    asked = sweeps(cluster, "front", "smoke", "--address", cluster.dashboard, "--storage", cluster.storage, "--json")
    assert [point["trial"] for point in json.loads(asked.stdout)] == status(cluster, "smoke")["front"]
    events = sweeps(cluster, "logs", "smoke", "--storage", cluster.storage).stdout
    assert "trial 3 started in slot" in events
    nothing = sweeps(cluster, "stop", "smoke", "--address", cluster.dashboard)
    assert (nothing.returncode, "only what runs can be stopped" in nothing.stderr) == (2, True)


@pytest.mark.parametrize(
    ("environment", "options", "said"),
    [
        ({"RAY_AUTH_TOKEN": "f" * 64}, [], "refuses the one of RAY_AUTH_TOKEN"),
        ({}, ["--address", f"http://{HOST}:{free_port()}"], "none answers at"),
        ({}, ["--storage", "s3://nowhere/results"], "storage is in a bucket that is there, and 'nowhere' is not"),
        ({"MLFLOW_TRACKING_PASSWORD": "not the one"}, [], "answers 401"),
        ({}, ["--storage", "results"], "every node of a cluster reaches its storage"),
        ({}, ["--driver-resource", "driver"], "a resource is name=number"),
    ],
    ids=["token", "address", "bucket", "login", "folder", "resource"],
)
def test_what_cannot_be_submitted_is_refused_in_one_line(
    cluster: Services, environment: dict[str, str], options: list[str], said: str
) -> None:
    place = ["--address", cluster.dashboard, "--storage", cluster.storage]
    done = sweeps(cluster, "submit", SMOKE, "--id", "refused", *place, *options, environment=environment)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert PASSWORD not in done.stderr


IMPOSSIBLE = """
import sys
from ray.job_submission import JobSubmissionClient
JobSubmissionClient(sys.argv[1]).submit_job(
    entrypoint="true",
    submission_id="bare",
    runtime_env={"pip": ["no-such-package==0"]},
    metadata={"sweep": "bare", "role": "driver"},
)
"""


@long
def test_a_job_that_could_not_begin_says_why(cluster: Services) -> None:
    command = [sys.executable, "-c", IMPOSSIBLE, cluster.dashboard]
    subprocess.run(command, env={**os.environ, **cluster.environment}, check=True)
    done = sweeps(cluster, "logs", "bare", "--address", cluster.dashboard, "--follow")
    assert done.returncode == 2
    assert "a job must come to run, and bare did not" in done.stderr
    assert "no-such-package" in done.stderr


def test_a_checkout_over_the_limit_does_not_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shipment.pack(tmp_path)
    assert whole.digest == shipment.pack(tmp_path).digest, "the same files are the same shipment"
    with zipfile.ZipFile(whole.path) as archive:
        assert json.loads(archive.read(SHIPPED)) == checkout(), "where the history stays behind, its commit is told"
        assert "sweeps/cli.py" in archive.namelist()
        assert not [name for name in archive.namelist() if name.startswith(("tests/", ".git/"))]
    monkeypatch.setattr(shipment, "LIMIT_BYTES", whole.size_bytes // 2)
    with pytest.raises(Refusal, match="a checkout that is shipped has at most"):
        shipment.pack(tmp_path)


@long
def test_a_sweep_outlives_a_node_and_is_stopped_and_resumed(cluster: Services) -> None:
    settings = ("budget.trials=10", "trial.steps=1500", "trial.rungs=4", "stop={name: none}")
    assert submit(cluster, "lasting", *settings).returncode == 0
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(follow, cluster, "lasting")
        wait_until(lambda: "complete" in sweeps(cluster, "logs", "lasting", "--storage", cluster.storage).stdout)
        end(cluster.nodes[0].pid)
        complete = status(cluster, "lasting")["trials"]["complete"]
        wait_until(lambda: status(cluster, "lasting")["trials"]["complete"] > complete + 1)
        stopped = sweeps(cluster, "stop", "lasting", "--address", cluster.dashboard)
        assert stopped.returncode == 0, stopped.stderr
        assert "trial 0 started in slot" in first.result()
    before = status(cluster, "lasting")
    assert before["state"] in ("interrupted", "killed")
    assert before["trials"]["complete"] < 10
    again = sweeps(cluster, "resume", "lasting", "--address", cluster.dashboard, "--storage", cluster.storage)
    assert again.returncode == 0, again.stderr
    assert "Front: complete trials" in follow(cluster, "lasting")
    after = status(cluster, "lasting")
    assert (after["state"], after["trials"]["complete"]) == ("done", 10)
    assert len(mlflow_runs(cluster, "lasting")) == 10
    assert checkpoints(cluster, "lasting") == set(range(10))
    assert _left_on(cluster) == []


def _left_on(cluster: Services) -> list[str]:
    """Placement groups and actors of the cluster that outlived their sweep, and their processes."""
    token = {"Authorization": f"Bearer {cluster.environment['RAY_AUTH_TOKEN']}"}
    left = []
    for kind, gone in (("placement_groups", "REMOVED"), ("actors", "DEAD")):
        answer = requests.get(f"{cluster.dashboard}/api/v0/{kind}", headers=token, timeout=30).json()
        rows = answer["data"]["result"]["result"]
        own = [row for row in rows if row.get("ray_namespace") != "AutoscalingCoordinator"]  # for all jobs
        left += [f"{kind}: {row}" for row in own if row["state"] != gone]
    temporary = [
        line for line in _processes_of(cluster) if "ray::TrainController" in line or "ray::RayTrainWorker" in line
    ]
    return left + temporary


def _processes_of(cluster: Services) -> Iterator[str]:
    """The command lines of what the cluster has started: its token is in their environment, and in nobody else's."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("RAY_AUTH_TOKEN") == cluster.environment["RAY_AUTH_TOKEN"]:
                yield " ".join(process.cmdline())
