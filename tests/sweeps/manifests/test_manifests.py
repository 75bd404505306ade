"""What KubeRay and Slurm are given: golden files, their schemas, and a script that bash runs where Slurm is played."""

import copy
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from search_spaces.policies import Resources
from sweeps.cli import app
from sweeps.manifests.demand import Demand
from sweeps.refusals import Refusal

GOLDEN = Path("tests/golden")
SLOTS = ("resources.slots=6", "resources.gpus_per_worker=0.5", "resources.cpus_per_worker=4")
SCHEMA = json.loads((GOLDEN / "rayjob-v1.schema.json").read_text())


def rendered(scheduler: str, *arguments: str, settings: tuple[str, ...] = SLOTS) -> Result:
    given = [word for setting in settings for word in ("--set", setting)]
    return CliRunner().invoke(app, ["render", scheduler, "search_spaces/digits.yaml", *given, *arguments])


def ray_job(*arguments: str) -> Result:
    return rendered("kuberay", "--id", "digits-a", "--storage", "s3://bucket/sweeps", *arguments)


IMAGE = ("--image", "registry/contrastive-sweeps:1", "--storage-secret", "s3")


def test_the_ray_job_is_the_golden_one_and_keeps_the_published_schema() -> None:
    result = ray_job(*IMAGE)
    assert result.exit_code == 0, result.output
    assert result.output == (GOLDEN / "rayjob.yaml").read_text()
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(result.output))


def misspelt(job: dict[str, Any]) -> None:
    job["spec"]["shutdownAfterJobFinished"] = True


def of_another_type(job: dict[str, Any]) -> None:
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"] = "3"


def unknown_mode(job: dict[str, Any]) -> None:
    job["spec"]["rayClusterSpec"]["authOptions"]["mode"] = "password"


def without_what_is_required(job: dict[str, Any]) -> None:
    del job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]


@pytest.mark.parametrize("break_it", [misspelt, of_another_type, unknown_mode, without_what_is_required])
def test_the_schema_finds_what_kuberay_would_refuse_or_drop(break_it: Callable[[dict[str, Any]], None]) -> None:
    job = copy.deepcopy(yaml.safe_load((GOLDEN / "rayjob.yaml").read_text()))
    break_it(job)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(job)


def test_workers_hold_no_address_of_the_driver() -> None:
    spec = yaml.safe_load(ray_job(*IMAGE).output)["spec"]["rayClusterSpec"]
    head, worker = spec["headGroupSpec"]["template"], spec["workerGroupSpecs"][0]["template"]
    names = [[each["secretRef"]["name"] for each in pod["spec"]["containers"][0]["envFrom"]] for pod in (head, worker)]
    assert names == [["contrastive-sweeps", "s3"], ["s3"]]


@pytest.mark.parametrize(
    ("resources", "workers", "demand"),
    [
        (Resources(slots=6, gpus_per_worker=0.5, cpus_per_worker=4), None, Demand(3, 2, 8, 1)),
        (Resources(slots=5, gpus_per_worker=0.25), None, Demand(2, 4, 4, 1)),
        (Resources(slots=3, workers=2, gpus_per_worker=1, cpus_per_worker=8), None, Demand(6, 1, 8, 1)),
        (Resources(slots=3, workers=2, gpus_per_worker=1, cpus_per_worker=8), 8, Demand(1, 6, 48, 6)),
        (Resources(slots=10, cpus_per_worker=2), 4, Demand(3, 4, 8, 0)),
    ],
)
def test_all_slots_fit_on_the_machines_that_are_asked_for(
    resources: Resources, workers: int | None, demand: Demand
) -> None:
    assert Demand.of(resources, workers) == demand


def test_what_cannot_run_is_refused() -> None:
    with pytest.raises(Refusal, match="auto"):
        Demand.of(Resources(slots="auto"), None)
    for refused, word in (
        (ray_job(), "--image"),
        (rendered("kuberay", *IMAGE), "s3://"),
        (rendered("kuberay", *IMAGE, "--storage", "s3://b", "--id", "a" * 48), "47"),
        (rendered("slurm", "--time", "a day"), "24:00:00"),
    ):
        assert refused.exit_code == 2, refused.output
        assert word in refused.output


def test_a_password_gets_into_no_manifest() -> None:
    result = rendered("kuberay", *IMAGE, "--storage", "s3://user:hunter2@host/bucket")
    assert result.exit_code == 6
    assert "hunter2" not in result.output


def test_the_batch_script_is_the_golden_one_and_bash_reads_it() -> None:
    result = rendered("slurm", "--id", "digits-a", "--storage", "/shared/sweeps")
    assert result.exit_code == 0, result.output
    assert result.output == (GOLDEN / "sweep.sbatch").read_text()
    subprocess.run(["bash", "-n", GOLDEN / "sweep.sbatch"], check=True)


class Slurm:
    """A folder with a checkout's `.venv` and the commands that the script calls, played by lines of shell."""

    def __init__(self, folder: Path, driver: str, *, known: bool) -> None:
        self.folder = folder
        # `$0` is bash, and `python` a function in it: what is run is the golden command itself
        python = f'case "$3" in status) exit {0 if known else 2};; *) echo "$3" >> {folder}/said; {driver};; esac'
        for name, line in {
            "python": python,
            "srun": 'while [ "$1" != -- ]; do shift; done; shift; "$@"',
            "scontrol": f'[ "$1" = requeue ] && echo "requeue $2" >> {folder}/said || echo node-1',
        }.items():
            (folder / name).write_text(f"#!/bin/bash\n{line}\n")
            (folder / name).chmod(0o700)
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".venv/bin/activate").touch()

    def start(self) -> subprocess.Popen[bytes]:
        path = f"{self.folder}:{os.environ['PATH']}"
        given = {"SLURM_JOB_NODELIST": "node-[1-3]", "SLURM_JOB_ID": "7", "RAY_AUTH_TOKEN": "t", "PATH": path}
        return subprocess.Popen(["bash", Path("tests/golden/sweep.sbatch").resolve()], cwd=self.folder, env=given)

    def said(self) -> list[str]:
        path = self.folder / "said"
        return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.mark.parametrize(("known", "begun"), [(False, "run"), (True, "resume")])
def test_a_sweep_that_is_known_is_resumed_and_its_exit_code_is_the_jobs(
    tmp_path: Path, known: bool, begun: str
) -> None:
    slurm = Slurm(tmp_path, "exit 3", known=known)
    assert slurm.start().wait(20) == 3
    assert slurm.said() == [begun]


def test_a_signal_before_the_limit_ends_the_driver_in_order_and_queues_the_job_again(tmp_path: Path) -> None:
    driver = f"trap 'echo ended >> {tmp_path}/said; exit 143' TERM; while true; do sleep 0.05; done"
    slurm = Slurm(tmp_path, driver, known=False)
    job = slurm.start()
    deadline = time.monotonic() + 20
    while slurm.said() != ["run"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(20) == 143
    assert slurm.said() == ["run", "ended", "requeue 7"]


def test_a_node_without_a_token_is_refused(tmp_path: Path) -> None:
    slurm = Slurm(tmp_path, "exit 0", known=False)
    given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    script = Path("tests/golden/sweep.sbatch").resolve()
    refused = subprocess.run(["bash", script], cwd=tmp_path, env=given, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "get-auth-token" in refused.stderr
    assert slurm.said() == []
