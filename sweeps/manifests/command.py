"""The command `render`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sweeps.commands.options import RESULTS, FileArgument, SetOption
from sweeps.refusals import refusals


class Scheduler(StrEnum):
    """Who gives a sweep its machines."""

    kuberay = "kuberay"
    slurm = "slurm"


def render(
    scheduler: Annotated[Scheduler, typer.Argument(help="Who gives the sweep its machines.")],
    file: FileArgument,
    overrides: SetOption = [],  # noqa: B006
    storage: Annotated[str, typer.Option(help="Where results go: a URI, or for Slurm a shared folder.")] = str(RESULTS),
    sweep: Annotated[
        str | None, typer.Option("--id", help="Id of the sweep; its name in the file if left out.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Workers on a machine; those that share a GPU if left out.")
    ] = None,
    image: Annotated[str, typer.Option(help="KubeRay: image whose working directory is the checkout.")] = "",
    memory: Annotated[str, typer.Option(help="KubeRay: memory of a worker's pod.")] = "16Gi",
    secret: Annotated[
        str, typer.Option(help="KubeRay: secret with SWEEPS_LEDGER, MLFLOW_TRACKING_URI, ..., for the driver.")
    ] = "contrastive-sweeps",
    storage_secret: Annotated[
        str | None, typer.Option(help="KubeRay: secret with what storage asks for, such as AWS_SECRET_ACCESS_KEY.")
    ] = None,
    time: Annotated[str, typer.Option(help="Slurm: limit of the job, which goes on in the next one.")] = "24:00:00",
) -> None:
    """Print what KubeRay or Slurm runs a sweep from: a RayJob for `kubectl apply -f -`, a script for `sbatch`.

    Example: python -m sweeps render slurm search_spaces/digits.yaml --set resources.slots=8 --storage /shared/sweeps
    """
    with refusals():
        from sweeps.manifests.demand import Job
        from sweeps.manifests.kuberay import ray_job
        from sweeps.manifests.slurm import batch_script

        job = Job.of(Path(file), overrides, sweep, storage)
        if scheduler is Scheduler.slurm:
            typer.echo(batch_script(job, time, workers), nl=False)
        else:
            typer.echo(ray_job(job, image, memory, secret, storage_secret, workers), nl=False)
