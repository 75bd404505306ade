"""The job API of a Ray cluster: which jobs a sweep has had there, and one more or one less."""

import asyncio
import logging
import os
import shlex
import tempfile
import tomllib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from search_spaces.secrets import redacted
from sweeps.jobs.shipment import Shipment, pack
from sweeps.provenance import ROOT, code_digest
from sweeps.refusals import Refusal, Unsafe
from sweeps.slots.authentication import MODE, token_path

#: What a driver on the cluster should know as it is known here. What holds a secret is not sent: Ray shows it to
#: everybody who may see its jobs. The environment of the cluster's nodes must have it.
_PASSED = ("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "SWEEPS_LOG_FORMAT")

_SWEEP, _ROLE, _INSTALL = "sweep", "role", "install"  # keys of a job's metadata
_DRIVER, _READER = "driver", "reader"
_PATIENCE_S = 30.0

#: Exit codes of drivers that were refused, could not be imported, or never came to run.
_NOTHING_STARTED = (None, 1, 2)

#: The line of Ray after which a job's own output begins.
_BEGINS = "Running entrypoint for job "

for name in ("dashboard_sdk", "job.sdk"):
    logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Placement:
    """Where a job's driver runs: a node that has these resources to spare, and these labels. Without any, the head."""

    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


class Cluster:
    """A Ray cluster at the ``http://host:port`` of its dashboard, which asks for this user's token.

    Raises `Refusal` where nobody answers or the token is refused, and `Unsafe` for a cluster that lets anybody in,
    unless `open_cluster` says that it is meant.
    """

    def __init__(self, address: str, *, open_cluster: bool = False) -> None:
        self.address = address.rstrip("/")
        if not self.address.startswith(("http://", "https://")):
            raise Refusal(
                f"jobs are submitted to the http://host:port of a cluster's dashboard, and this is "
                f"{redacted(address)}. Give that, often http://...:8265"
            )
        if not open_cluster:
            self._refuse_open()
            os.environ[MODE] = "token"
        try:
            self._client = JobSubmissionClient(self.address)
        except AuthenticationError as error:
            raise Refusal(
                f"a cluster takes jobs with its own token, and {self.address} refuses the one of "
                f"{token_path() or 'RAY_AUTH_TOKEN'}. Put the cluster's there"
            ) from error
        except (ConnectionError, requests.RequestException, RuntimeError) as error:
            raise self._silent(error) from error

    def submit(
        self,
        job: str,
        sweep: str,
        arguments: Sequence[str],
        shipment: Shipment,
        *,
        placement: Placement | None = None,
        install: bool = False,
        role: str = _DRIVER,
    ) -> bool:
        """Have ``python -m sweeps`` run on the cluster with these arguments. False: there has been a job of this id.

        With `install`, or where a job of the sweep had it before, nodes are given the packages of the lock.
        """
        placed = placement or Placement()
        metadata = {_SWEEP: sweep, _ROLE: role, "shipment": shipment.digest, "code_digest": code_digest()}
        environment: dict[str, Any] = {"working_dir": str(shipment.path), "env_vars": _passed()}
        if install or any(_INSTALL in (job.metadata or {}) for job in self.drivers(sweep)):
            metadata[_INSTALL] = "lock"
            environment |= _locked()
        try:
            self._client.submit_job(
                entrypoint=shlex.join(["python", "-m", "sweeps", *arguments]),
                submission_id=job,
                runtime_env=environment,
                metadata=metadata,
                entrypoint_resources=dict(placed.resources) or None,
                entrypoint_label_selector=dict(placed.labels) or None,
            )
        except RuntimeError as error:
            if self._has(job):
                return False
            raise Refusal(f"{self.address} does not take the job: {redacted(str(error))}") from error
        return True

    def next_job(self, sweep: str) -> str | None:
        """The id of the job that may begin a sweep; None where one has: it runs, or has written a ledger.

        All that ask at once are told the same id, of which a cluster takes one.
        """
        before = self.drivers(sweep)
        if any(job.status != JobStatus.FAILED or job.driver_exit_code not in _NOTHING_STARTED for job in before):
            return None
        return f"{sweep}.{len(before)}" if before else sweep

    def drivers(self, sweep: str) -> list[JobDetails]:
        """The jobs that have driven a sweep, oldest first."""
        jobs = [job for job in self._client.list_jobs() if (job.metadata or {}).get(_SWEEP) == sweep]
        return sorted(
            (job for job in jobs if (job.metadata or {}).get(_ROLE) == _DRIVER), key=lambda job: job.start_time or 0
        )

    def stop(self, sweep: str) -> list[str]:
        """Ask the jobs that drive a sweep to end; which they were."""
        return [
            str(job.submission_id)
            for job in self.drivers(sweep)
            if not job.status.is_terminal() and self._client.stop_job(str(job.submission_id))
        ]

    def logs(self, job: str) -> str:
        """What a job has printed so far."""
        return str(self._client.get_job_logs(job))

    def follow(self, job: str) -> Iterator[str]:
        """What a job prints, as it does, until it has ended."""
        tail: AsyncIterator[str] = self._client.tail_job_logs(job)
        with asyncio.Runner() as runner:
            while (part := runner.run(_next(tail))) is not None:
                yield part

    def check_began(self, job: str) -> None:
        """Raises `Refusal` for a job that failed before it ran, where packages cannot be installed for example."""
        found = self._client.get_job_info(job)
        if found.status == JobStatus.FAILED and found.driver_node_id is None:
            raise Refusal(f"a job must come to run, and {job} did not: {redacted(str(found.message))}")

    def ask(self, sweep: str, arguments: Sequence[str]) -> str:
        """What a command that only reads prints on the cluster, where storage and ledgers can be reached.

        Raises `Refusal` with its last lines if it fails.
        """
        job = f"ask-{uuid.uuid4().hex[:12]}"
        with tempfile.TemporaryDirectory() as folder:
            self.submit(job, sweep, arguments, pack(Path(folder)), role=_READER)
        said = "".join(self.follow(job)).partition(_BEGINS)[2].partition("\n")[2]
        if self.status(job) != JobStatus.SUCCEEDED:
            raise Refusal(f"on the cluster, this did not work: {redacted(said.strip()[-2000:]) or self._why(job)}")
        return said

    def status(self, job: str) -> JobStatus:
        """How a job is."""
        return self._client.get_job_status(job)

    def _why(self, job: str) -> str:
        return redacted(str(self._client.get_job_info(job).message))

    def _has(self, job: str) -> bool:
        try:
            self._client.get_job_info(job)
        except RuntimeError:
            return False
        return True

    def _refuse_open(self) -> None:
        try:
            answer = requests.get(f"{self.address}/api/version", timeout=_PATIENCE_S)
        except requests.RequestException as error:
            raise self._silent(error) from error
        if answer.ok:
            raise Unsafe(
                f"a cluster that takes jobs asks for a token, and {self.address} lets anybody in: whoever reaches it "
                f"runs code there. Start it with {MODE}=token, or say --open-cluster"
            )

    def _silent(self, error: Exception) -> Refusal:
        late = isinstance(error, requests.Timeout)
        why = f"nothing was said for {_PATIENCE_S:.0f} s" if late else "there is no connection"
        return Refusal(
            f"jobs are submitted to the dashboard of a Ray cluster, and none answers at {redacted(self.address)}: "
            f"{why}. Check the address, and that the cluster runs"
        )


async def _next(tail: AsyncIterator[str]) -> str | None:
    return await anext(tail, None)


def _passed() -> dict[str, str]:
    there = {name: os.environ[name] for name in _PASSED if os.environ.get(name)}
    return {name: value for name, value in there.items() if redacted(value) == value}


def _locked() -> dict[str, Any]:
    """The packages of this checkout in the versions of its lock, for Ray to install on each node."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = [*project["dependencies"], *project["optional-dependencies"]["postgresql"]]
    # a line of the file of requirements that Ray writes, since pip fills in variables there and nowhere else
    constraint = "--constraint ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/constraints.txt"
    return {"pip": {"packages": [constraint, *packages]}}
