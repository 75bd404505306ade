"""Ray itself: started on this machine, or joined where it runs. The settings of Ray that slots rely on stand here."""

import importlib
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._raylet import Config  # type: ignore[attr-defined]  # compiled

from sweeps.slots.authentication import MODE, keep_token_private, refuse_open_cluster
from sweeps.slots.pool import NAMESPACE
from trainables import json_log

ROOT = Path(__file__).parents[2]

#: Read by Ray Train and Ray Tune in the driver; Train passes its own on to controllers and workers.
SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # how soon a lost worker or the end of a slot is noticed; 2 s unset
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process for each slot; the pool looks for all (`sweeps.slots.pool`)
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same in a worker as in the driver
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the record; no CSV, JSON or TensorBoard files
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # results carry events, not goals
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C belongs to the driver
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Tune's snapshots are never read again
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}

CLUSTER_SETTINGS = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10",  # so often a slot without a place looks whether it needs one
}

LOCAL_SETTINGS = {
    "RAY_worker_maximum_startup_concurrency": "16",  # unset as many at once as there are cores, and a warning of more
}

#: What Ray says about matters that are settled here: token authentication is on; Tune keeps no result files.
SILENCED = ("ray._private.authentication.authentication_token_setup", "ray.tune.analysis.experiment_analysis")

_SERVERS = {ray_constants.PROCESS_TYPE_RAYLET, ray_constants.PROCESS_TYPE_GCS_SERVER}

#: Set by Ray where a process is a job of a cluster.
_IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"

#: Room for messages; nothing large goes through the object store.
STORE_BYTES = 200 * 1024 * 1024


def start_ray(
    address: str | None = None,
    *,
    cpus: int | None = None,
    open_cluster: bool = False,
    meanwhile: str = "sweeps.training",
) -> None:
    """Start Ray on this machine, bound to loopback and with `cpus` (default: all), or join the cluster at `address`.

    Either asks for this user's token (`sweeps.slots.authentication`). Raises `Unsafe` for a cluster that does not,
    unless `open_cluster` says that it is meant. Workers import this checkout's packages, from whatever directory the
    driver was started. `meanwhile` is a module that is imported while Ray starts.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in SILENCED:
        logging.getLogger(name).setLevel(logging.ERROR)
    # Of sweeps, the heavy half of Ray and torch.
    threading.Thread(target=importlib.import_module, args=(meanwhile,), daemon=True).start()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            _start_local(cpus)
        else:
            _join(address, open_cluster)
    except SystemExit:  # what Ray makes of a SIGTERM that comes meanwhile
        if callable(on_sigterm):
            on_sigterm(signal.SIGTERM, None)
        raise
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray takes it for itself
    for name in ("ray", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.WARNING)


def ray_files() -> str:
    """Where Ray Train and Tune keep what they write for themselves, on the driver's node. Nobody reads it again."""
    node: Any = ray._private.worker.global_worker.node
    return f"{node.get_session_dir_path()}/{NAMESPACE}"


def alone() -> bool:
    """Whether the Ray that is there is this machine's own: no node will join it, or be taken away."""
    return bool(ray.util.get_node_ip_address() == "127.0.0.1")


def dead_servers() -> list[str]:
    """Which of the processes that every Ray needs have died, of those that were started here."""
    node = ray._private.worker._global_node
    dead = {kind for kind, _ in node.dead_processes()} if node else set[str]()
    return sorted(dead & _SERVERS)


def _join(address: str, open_cluster: bool) -> None:
    for name, value in CLUSTER_SETTINGS.items():
        os.environ.setdefault(name, value)
    if not open_cluster:
        refuse_open_cluster(address)
        os.environ[MODE] = "token"
        Config.initialize("")  # Ray read its environment when it was imported
    # A job's workers are given its working directory and its variables by Ray; those of a driver from outside find this
    # checkout, which every node must see at the same place.
    outside = {"env_vars": {"PYTHONPATH": _python_path(), **json_log.environment()}}
    packages = None if _IN_A_JOB in os.environ else outside
    ray.init(address, namespace=NAMESPACE, runtime_env=packages, log_to_driver=False, logging_level=logging.WARNING)


def _start_local(cpus: int | None) -> None:
    for name, value in LOCAL_SETTINGS.items():
        os.environ.setdefault(name, value)
    # Ray's processes inherit it; a runtime_env would make Ray throw away the workers that it starts ahead.
    os.environ["PYTHONPATH"] = _python_path()
    # On Linux Ray replaces 127.0.0.1 by the machine's address, and listens there, unless it believes that it cannot
    # form a cluster. It reads this from its environment when it is imported, which may have happened long before.
    ray_constants.ENABLE_RAY_CLUSTER = False
    keep_token_private()
    os.environ.pop(MODE, None)  # Ray then turns authentication on, for itself and for what it starts
    ray.init(
        "local",  # whatever RAY_ADDRESS says
        num_cpus=cpus,
        namespace=NAMESPACE,
        include_dashboard=False,
        object_store_memory=STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.WARNING,
        _node_ip_address="127.0.0.1",
    )


def _python_path() -> str:
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(ROOT)]
    return os.pathsep.join([str(ROOT), *others])
