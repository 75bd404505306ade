"""What an earlier sweep left behind: processes of Ray without their driver, placement groups that nobody gives back.

Ray is neither started nor joined: the GCS is asked in its own protocol, with this user's token.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import psutil

from sweeps.doctor.finding import Finding
from sweeps.doctor.ports import servers
from sweeps.slots.authentication import TOKEN, token_path
from sweeps.slots.cluster import ROOT

_PATIENCE_S = 5.0


def orphans() -> Finding:
    """Servers of Ray that a sweep of this checkout started, and whose driver is gone."""
    left = [process for process in servers() if _ours(process) and not _has_driver(process)]
    if not left:
        return Finding("left behind", "ok", "no process of Ray without its driver")
    found = ", ".join(f"{process.name()} ({process.pid})" for process in left)
    return Finding("left behind", "warning", found, f"kill {' '.join(str(process.pid) for process in left)}")


def placement_groups() -> Iterator[Finding]:
    """Placement groups of each Ray on this machine whose creator is gone: they hold devices that nobody uses."""
    addresses = [address for process in servers() if process.name() == "gcs_server" for address in _addresses(process)]
    if not addresses:
        yield Finding("placement groups", "ok", "no Ray runs on this machine")
    for address in addresses:
        try:
            left = leaked(groups_of(address))
        except Exception as error:  # gRPC's errors have no public base
            found = f"the Ray at {address} does not say: {_reason(error)}"
            yield Finding("placement groups", "warning", found, "use the token that it was started with")
            continue
        if left:
            fix = "end the sweep that made them, or `ray.util.remove_placement_group` them by name"
            yield Finding(
                "placement groups", "warning", f"{len(left)} at {address} have lost their creator: {left}", fix
            )
        else:
            yield Finding("placement groups", "ok", f"none at {address} has lost its creator")


def leaked(groups: Iterable[Any]) -> list[str]:
    """Name or id of those (`gcs_pb2.PlacementGroupTableData`) whose job, or the actor that made them, is dead."""
    from ray.core.generated import gcs_pb2

    removed = gcs_pb2.PlacementGroupTableData.REMOVED
    return [
        group.name or group.placement_group_id.hex()
        for group in groups
        if group.state != removed and (group.creator_job_dead or (_by_actor(group) and group.creator_actor_dead))
    ]


def groups_of(address: str) -> list[Any]:
    """Every placement group that the GCS at ``host:port`` knows. Raises `grpc.RpcError` if it does not say."""
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    path = token_path()
    token = os.environ[TOKEN] if path is None else path.read_text().strip() if path.exists() else ""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        service = gcs_service_pb2_grpc.PlacementGroupInfoGcsServiceStub(channel)
        request = gcs_service_pb2.GetAllPlacementGroupRequest()
        metadata = [("authorization", f"Bearer {token}")]
        answer = service.GetAllPlacementGroup(request, timeout=_PATIENCE_S, metadata=metadata)
    return list(answer.placement_group_table_data)


def _reason(error: Exception) -> str:
    """What gRPC or the system says, in one line."""
    details = getattr(error, "details", None)
    return str(details() if callable(details) else error).splitlines()[0]


def _by_actor(group: Any) -> bool:
    return bool(group.creator_actor_id.strip(b"\xff"))


def _addresses(process: psutil.Process) -> list[str]:
    try:
        listening = [one for one in process.net_connections(kind="tcp") if one.status == psutil.CONN_LISTEN]
    except psutil.Error:
        return []
    return [f"{_near(one.laddr.ip)}:{one.laddr.port}" for one in listening][:1]


def _near(ip: str) -> str:
    """Where to ask for what listens at an address, which may be every one of this machine."""
    plain = ip.removeprefix("::ffff:")
    return "127.0.0.1" if plain in ("0.0.0.0", "::") else plain


def _ours(process: psutil.Process) -> bool:
    try:
        return process.environ().get("PYTHONPATH", "").split(os.pathsep)[0] == str(ROOT)
    except psutil.Error:
        return False


def _has_driver(process: psutil.Process) -> bool:
    """Whether some Python is above it."""
    try:
        return any("python" in parent.name() for parent in process.parents())
    except psutil.Error:
        return True
