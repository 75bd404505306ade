"""A sweep as KubeRay's `RayJob` (`ray.io/v1`): a cluster of its own, which is gone when the sweep has ended."""

import copy
import re
import shlex
from importlib.metadata import version
from typing import Any

import yaml

from sweeps.manifests.demand import Demand, Job
from sweeps.refusals import Refusal

#: KubeRay makes longer names of it, which Kubernetes limits to 63 characters.
LONGEST_NAME = 47

_ATTEMPTS = 3
_GONE_AFTER_S = 600
_GRACE_S = 120  # for a checkpoint, when a pod is taken away
_IDLE_S = 60
_HEAD_CPUS, _HEAD_GIB, _HEAD_GIB_PER_SLOT = 4, 8, 0.5  # docs/scale.md


def ray_job(job: Job, image: str, memory: str, secret: str, storage_secret: str | None, workers: int | None) -> str:
    """The manifest, for `kubectl apply -f -`. Raises `Refusal`.

    `image` holds the checkout as its working directory; `memory` is that of a pod. The driver's addresses and passwords
    (`SWEEPS_LEDGER`, `MLFLOW_TRACKING_URI` and the like) are the keys of `secret`, and what storage asks for those of
    `storage_secret`, which the workers are given too. KubeRay makes Ray's token itself.
    """
    _check(job, image, memory)
    resources = job.loaded.file.resources
    demand = Demand.of(resources, workers)
    labels = {"app.kubernetes.io/name": "contrastive-sweeps", "contrastive-sweeps/sweep": job.sweep}
    for_storage = [{"secretRef": {"name": storage_secret}}] if storage_secret else []
    for_driver = [{"secretRef": {"name": secret}}, *for_storage]
    slots = resources.slots if isinstance(resources.slots, int) else 1
    head = {"cpu": str(_HEAD_CPUS), "memory": f"{_HEAD_GIB + round(_HEAD_GIB_PER_SLOT * slots)}Gi"}
    pod = {"cpu": str(demand.cpus), "memory": memory, **({"nvidia.com/gpu": str(demand.gpus)} if demand.gpus else {})}
    manifest = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": job.sweep, "labels": labels},
        "spec": {
            "entrypoint": f"bash -c {shlex.quote(job.command())}",
            "backoffLimit": _ATTEMPTS,  # each on a new cluster, where the sweep is resumed
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": _GONE_AFTER_S,
            "rayClusterSpec": {
                "rayVersion": version("ray"),
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"idleTimeoutSeconds": _IDLE_S},
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},  # for the driver and what it speaks with, not for slots
                    "template": _template("ray-head", image, head, for_driver, labels),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "slots",
                        "replicas": demand.machines,
                        "minReplicas": 0,
                        "maxReplicas": demand.machines,
                        "rayStartParams": {},
                        "template": _template("ray-worker", image, pod, for_storage, labels),
                    }
                ],
            },
        },
    }
    return yaml.safe_dump(manifest, sort_keys=False, width=1_000)


def _check(job: Job, image: str, memory: str) -> None:
    """What no RayJob can be made of. Raises `Refusal`."""
    if not image:
        raise Refusal(
            "a pod runs an image, and none is given. Build one whose working directory is this checkout: --image"
        )
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?([kKMGTPE]i?)?", memory):
        raise Refusal(f"memory is a number of bytes as Kubernetes writes it, and --memory {memory!r} is none: 16Gi")
    if len(job.sweep) > LONGEST_NAME:
        raise Refusal(
            f"a RayJob has at most {LONGEST_NAME} characters in its name, and '{job.sweep}' has more. Use --id"
        )
    if "://" not in job.storage:
        raise Refusal(
            f"pods share no folder, and --storage {job.storage} is one. Give a URI that all of them reach: s3://..."
        )


def _template(
    name: str, image: str, resources: dict[str, str], secrets: list[dict[str, Any]], labels: dict[str, str]
) -> dict[str, Any]:
    container = {
        "name": name,
        "image": image,
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "env": [{"name": "SWEEPS_LOG_FORMAT", "value": "json"}],
        **({"envFrom": copy.deepcopy(secrets)} if secrets else {}),  # YAML would have the second refer to the first
    }
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {"terminationGracePeriodSeconds": _GRACE_S, "containers": [container]},
    }
