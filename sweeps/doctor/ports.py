"""Which ports a sweep would use, who holds them, and what of ours can be reached from other machines."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from sweeps.doctor.finding import Finding
from sweeps.slots.authentication import MODE

#: What asks for a port by default: `python -m sweeps ui`, and Ray's dashboard and GCS under `ray start`.
DEFAULT_PORTS = {5000: "MLflow's pages", 8265: "Ray's dashboard", 6379: "Ray's GCS"}

RAY = ("gcs_server", "raylet")


def free_ports(ports: dict[int, str] = DEFAULT_PORTS) -> Iterator[Finding]:
    """Whether each default port is free on loopback. A sweep itself lets the system choose, so none is a problem."""
    for port, owner in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                fix = "give `ui` another --port" if port == 5000 else "fine if that is your Ray; else end what holds it"
                yield Finding(f"port {port} ({owner})", "warning", error.strerror or str(error), fix)
            else:
                yield Finding(f"port {port} ({owner})", "ok", "free on 127.0.0.1")


def reachable() -> Iterator[Finding]:
    """Servers of Ray and MLflow that this user runs and that listen beyond loopback."""
    exposed = [(process, address) for process in servers() for address in _listening(process) if not _loopback(address)]
    if not exposed:
        yield Finding("what others can reach", "ok", "no server of Ray or MLflow listens beyond loopback")
    for process, address in exposed:
        found = f"{process.name()} (process {process.pid}) listens on {address}"
        if not _asks_for_a_token(process):
            fix = "end it; start it on 127.0.0.1, or behind a proxy that asks who is there"
            yield Finding("what others can reach", "problem", found, fix, security=True)
        else:
            yield Finding(
                "what others can reach", "warning", f"{found}, and asks for a token", "keep it in your network"
            )


def servers() -> Iterator[psutil.Process]:
    """Processes of this user that are Ray's or MLflow's servers."""
    for process in psutil.process_iter():
        try:
            known = process.name() in RAY or any(Path(part).name.startswith("mlflow") for part in process.cmdline())
            if known and process.uids().real == os.getuid():
                yield process
        except psutil.Error:  # it has ended, or is not ours to look at
            continue


def _listening(process: psutil.Process) -> list[str]:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return []
    return [f"{one.laddr.ip}:{one.laddr.port}" for one in connections if one.status == psutil.CONN_LISTEN]


def _loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address.rpartition(":")[0])
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def _asks_for_a_token(process: psutil.Process) -> bool:
    try:
        return process.name() in RAY and process.environ().get(MODE) == "token"
    except psutil.Error:
        return False
