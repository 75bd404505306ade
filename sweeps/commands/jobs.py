"""The commands that reach a sweep on a cluster: `submit`, `logs` and `stop`. They work without one where they can."""

import hashlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.commands.options import (
    RESULTS,
    AddressOption,
    FileArgument,
    InstallOption,
    JsonOption,
    OpenClusterOption,
    SetOption,
    StorageOption,
    SweepArgument,
    out,
    print_json,
)
from sweeps.ids import check_id
from sweeps.ledger.store import Ledger
from sweeps.named_numbers import named_numbers
from sweeps.refusals import Refusal, refusals
from sweeps.results import Results

if TYPE_CHECKING:
    from sweeps.jobs.cluster import Cluster

_ENDS_WITHIN_S = 20.0
_LOOKS_EVERY_S = 1.0


def submit(
    file: FileArgument,
    address: Annotated[str, typer.Option("--address", help="http://host:port of the cluster's dashboard.")],
    overrides: SetOption = [],  # noqa: B006
    storage: StorageOption = RESULTS,
    sweep: Annotated[
        str | None, typer.Option("--id", help="Id of the sweep; made from the file, the code and --set.")
    ] = None,
    driver_resource: Annotated[list[str], typer.Option(help="Run the driver on a node that has it: name=number.")] = [],  # noqa: B006
    driver_label: Annotated[list[str], typer.Option(help="Run the driver on a node with this label: key=value.")] = [],  # noqa: B006
    install: InstallOption = False,
    open_cluster: OpenClusterOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have a cluster run a sweep, and return. The same sweep submitted again is found, not run twice.

    Example: python -m sweeps submit search_spaces/digits.yaml --address http://head:8265 --storage s3://bucket/sweeps
    """
    with refusals():
        from search_spaces.sweep_file import load
        from sweeps.jobs.cluster import Cluster, Placement
        from sweeps.jobs.preflight import preflight
        from sweeps.jobs.shipment import FOLDER, pack

        loaded = load(file, overrides)
        placement = Placement(
            named_numbers(driver_resource, "a resource is name=number", "driver=1"), _labels(driver_label)
        )
        preflight(storage)
        with tempfile.TemporaryDirectory() as folder:
            shipment = pack(Path(folder), file)
            content = json.dumps([loaded.file.to_json(), shipment.digest], sort_keys=True)
            made = f"{loaded.file.name[:52].rstrip('-')}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
            chosen = check_id(made if sweep is None else sweep)
            settings = [argument for override in overrides for argument in ("--set", override)]
            arguments = ["run", f"{FOLDER}/{file.name}", *settings, "--id", chosen, *_there(storage)]
            cluster = Cluster(address, open_cluster=open_cluster)
            job = cluster.next_job(chosen)
            new = job is not None and cluster.submit(
                job, chosen, _joining(arguments, open_cluster), shipment, placement=placement, install=install
            )
    if as_json:
        print_json({"sweep": chosen, "new": new, "files": shipment.files, "bytes": shipment.size_bytes})
        return
    if new:
        size = f"{shipment.files} files, {shipment.size_bytes / 2**20:.1f} MiB, sha256 {shipment.digest[:12]}"
        out.print(f"sweep {chosen} submitted to {cluster.address} ({size})", highlight=False, soft_wrap=True)
    else:
        out.print(f"sweep {chosen} was submitted before; nothing was started", highlight=False, soft_wrap=True)
    _print_next(chosen, storage, cluster.address)


def resubmit(
    sweep: str | None, storage: Results, address: str, options: Sequence[str], *, open_cluster: bool, install: bool
) -> None:
    """Have a cluster go on with a sweep. Raises `Refusal` while a job there drives it."""
    from sweeps.jobs.cluster import Cluster
    from sweeps.jobs.preflight import preflight
    from sweeps.jobs.shipment import pack

    sweep = _named(sweep)
    preflight(storage)
    cluster = Cluster(address, open_cluster=open_cluster)
    before = cluster.drivers(sweep)
    if running := [str(job.submission_id) for job in before if not job.status.is_terminal()]:
        raise Refusal(
            f"a sweep has one driver, and the job {running[0]} drives '{sweep}'. Follow it with `python -m sweeps logs "
            f"{sweep} --address {address} --follow`, or stop it first"
        )
    job = f"{sweep}.{len(before)}"
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["resume", sweep, *options, *_there(storage)]
        shipment = pack(Path(folder))
        if not cluster.submit(job, sweep, _joining(arguments, open_cluster), shipment, install=install):
            raise Refusal(f"a sweep has one driver, and another was submitted for '{sweep}' at this moment: job {job}")
    out.print(f"sweep {sweep} goes on at {cluster.address}, as job {job}", highlight=False, soft_wrap=True)
    _print_next(sweep, storage, cluster.address)


def ask(address: str, sweep: str | None, command: str, storage: Results, options: Sequence[str] = ()) -> None:
    """Print what a reading command says on the cluster."""
    with refusals():
        from sweeps.jobs.cluster import Cluster

        named = _named(sweep)
        sys.stdout.write(Cluster(address).ask(named, [command, named, *_there(storage), *options]))


def logs(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    address: AddressOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the sweep's driver ends.")] = False,
) -> None:
    """What happened in a sweep: from its ledger, or with --address what its last driver printed on the cluster.

    Example: python -m sweeps logs digits-1a2b3c4d5e --address http://head:8265 --follow
    """
    with refusals():
        if address is None:
            _print_events(storage, storage.existing(sweep), follow)
        else:
            _print_output(address, sweep, follow)


def stop(
    sweep: SweepArgument = None,
    storage: StorageOption = RESULTS,
    address: AddressOption = None,
) -> None:
    """End the driver of a sweep, on this machine or on a cluster. Nothing is lost; `resume` goes on.

    Example: python -m sweeps stop digits-1a2b3c4d5e --address http://head:8265
    """
    with refusals():
        if address is None:
            chosen = storage.existing(sweep)
            _stop_here(storage, chosen)
        else:
            chosen = _stop_there(address, sweep)
    where = f" --address {address} --storage ..." if address else storage.flag
    out.print(f"stopped; continue with: python -m sweeps resume {chosen}{where}", highlight=False, soft_wrap=True)


def _stop_there(address: str, sweep: str | None) -> str:
    from sweeps.jobs.cluster import Cluster

    sweep, cluster = _named(sweep), Cluster(address)
    stopped = cluster.stop(sweep)
    if not stopped:
        raise Refusal(f"only what runs can be stopped, and no job at {cluster.address} drives '{sweep}'")
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while any(not cluster.status(job).is_terminal() for job in stopped) and time.monotonic() < deadline:
        time.sleep(_LOOKS_EVERY_S)
    return sweep


def _stop_here(storage: Results, sweep: str) -> None:
    with Ledger.open(storage.ledger(sweep)) as ledger:
        holder = ledger.holder() if ledger.driven() else None
        if holder is None:
            raise Refusal(f"only what runs can be stopped, and nobody drives '{sweep}'")
        if holder.host != socket.gethostname():
            raise Refusal(
                f"a driver is stopped where it runs, and '{sweep}' is driven by process {holder.pid} on {holder.host}. "
                "Stop it there, or give the --address of the cluster that it is a job of"
            )
        os.kill(holder.pid, signal.SIGTERM)
        deadline = time.monotonic() + _ENDS_WITHIN_S
        while ledger.driven():
            if time.monotonic() > deadline:
                raise Refusal(f"process {holder.pid} was asked to end and has not within {_ENDS_WITHIN_S:.0f} s")
            time.sleep(_LOOKS_EVERY_S)


def _print_output(address: str, sweep: str | None, follow: bool) -> None:
    from sweeps.jobs.cluster import Cluster

    sweep, cluster = _named(sweep), Cluster(address)
    job = _last_job(cluster, sweep)
    for part in cluster.follow(job) if follow else [cluster.logs(job)]:
        sys.stdout.write(part)
        sys.stdout.flush()
    cluster.check_began(job)


def _last_job(cluster: "Cluster", sweep: str) -> str:
    jobs = cluster.drivers(sweep)
    if not jobs:
        raise Refusal(
            f"a job's output is on its cluster, and no job at {cluster.address} has driven '{sweep}'. Its ledger knows "
            "what happened: leave --address out"
        )
    return str(jobs[-1].submission_id)


def _print_events(storage: Results, sweep: str, follow: bool) -> None:
    from sweeps.live import event_line

    seen = 0
    with Ledger.open(storage.ledger(sweep)) as ledger:
        last = False
        while not last:
            last = not follow or not ledger.driven()
            for seq, at, event in ledger.events(after=seen):
                seen = seq
                if line := event_line(event, ledger.spec["file"]["goals"]):
                    text = f"{at.astimezone():%Y-%m-%d %H:%M:%S} {line}"
                    out.print(text, markup=False, highlight=False, soft_wrap=True)
            if not last:
                time.sleep(_LOOKS_EVERY_S)


def _named(sweep: str | None) -> str:
    """The id that was given. Raises `Refusal` without one: which is the newest, a cluster does not say."""
    if sweep is None:
        raise Refusal("a cluster may run many sweeps, and with --address one is named. Give its id")
    return check_id(sweep)


def _labels(given: Sequence[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise Refusal(f"a label is key=value, such as zone=a, and this is {text!r}")
        labels[key] = value
    return labels


def _joining(arguments: Sequence[str], open_cluster: bool) -> list[str]:
    return [*arguments, "--address", "auto", *(["--open-cluster"] if open_cluster else [])]


def _there(storage: Results) -> list[str]:
    """The option that names storage on another machine. Raises `Refusal` where that is no place there."""
    if storage.is_local and not storage.path.is_absolute():
        raise Refusal(
            f"every node of a cluster reaches its storage, and --storage is '{storage}', a folder of this directory. "
            "Give a URI such as s3://bucket/sweeps, or the absolute path of a folder that all nodes share"
        )
    return ["--storage", storage.uri]


def _print_next(sweep: str, storage: Results, address: str) -> None:
    for line in (
        f"follow:  python -m sweeps logs {sweep} --address {address} --follow",
        f"status:  python -m sweeps status {sweep} --address {address}{storage.flag}",
        f"front:   python -m sweeps front {sweep} --address {address}{storage.flag}",
        f"stop:    python -m sweeps stop {sweep} --address {address}",
    ):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
