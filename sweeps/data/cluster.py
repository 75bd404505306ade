"""Samples are read and converted by Ray Data, on all nodes of a cluster; the driver writes what comes back, in order.

A task reads one span of rows. It opens the source itself, once in each of Ray's processes, and its samples are stored
by the driver alone: faults, resumption and the dataset are those of one machine. What a task has worked on is lost with
its node, and done again. A file that a node cannot read as the driver could ends the ingest before a sample of it, or
behind it, is handed over: rows that are missed would give all that follow the labels of others.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.data import DataContext

from sweeps.data.conversion import Conversion, Converted, content, converted
from sweeps.data.faults import Bad, Fault, Faults
from sweeps.data.files import Files
from sweeps.data.samples import Converter
from sweeps.data.source import Rows, Source
from sweeps.data.sources import SourceAt
from sweeps.refusals import Refusal
from sweeps.slots.address import RayAt
from sweeps.slots.cluster import start_ray
from trainables.datasets.blocks import BLOCK_BYTES, NUMBERS

_AGAIN = "See to the node and its way to the files; the same command then goes on"

_BAD = pa.struct({"rule": pa.string(), "fix": pa.string(), "security": pa.bool_()})
_ROWS = {"file": pa.string(), "row": pa.int64(), "sample": pa.large_binary(), "hash": pa.uint64(), "bad": _BAD}
#: What a task hands over: rows, or why the cluster cannot be used. Of what a task raises, Ray changes the message.
_SCHEMA = pa.schema({**_ROWS, "refusal": pa.string()})


@dataclass(frozen=True)
class _Seen:
    """A source as the driver has seen it: the digest of its files, and what it has learned of their rows and faults."""

    at: SourceAt
    digest: str
    rows: tuple[tuple[str, int], ...]
    faults: frozenset[Fault]


@contextmanager
def conversion_on(ray_at: RayAt, at: SourceAt, files: Files, faults: Faults) -> Iterator[Conversion]:
    """The `Conversion` of the cluster at an address, which is joined meanwhile.

    Raises `Refusal` and `Unsafe` as joining does, and `Refusal` for a cluster without CPUs; and, while the conversion
    is used, where a node does not see the source as `files` and the `faults` of the driver say.
    """
    ray_at.check()
    start_ray(ray_at.gcs(), open_cluster=ray_at.open_cluster, meanwhile="ray.data")
    try:
        if ray.cluster_resources().get("CPU", 0) < 1:
            raise Refusal(f"a task takes a CPU, and the cluster at {ray_at.gcs()} has none; add a node with some")
        yield partial(_converted_there, at, files, faults)
    finally:
        ray.shutdown()


def _converted_there(
    at: SourceAt,
    files: Files,
    faults: Faults,
    source: Source,  # noqa: ARG001 (every process opens its own)
    split: str,
    spans: Sequence[range],
    convert: Converter,
) -> Iterator[Converted]:
    _configure(DataContext.get_current())
    known = frozenset(fault for fault in faults if fault.row is None)
    seen = _Seen(at, _digest(files), tuple(files.rows.items()), known)
    items = [{"start": span.start, "stop": span.stop} for span in spans]
    work = partial(_tables, seen=seen, split=split, convert=convert)
    found = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        work, batch_size=None, batch_format="pyarrow"
    )
    tables: Iterator[pa.Table] = iter(found.iter_batches(batch_size=None, batch_format="pyarrow"))
    for table in tables:
        if refused := table.column("refusal").drop_null().to_pylist():
            raise Refusal(refused[0])
        yield from _rows(table, convert)


def _configure(context: DataContext) -> None:
    context.execution_options.preserve_order = True
    context.target_max_block_size = BLOCK_BYTES  # what a task hands over at once
    context.enable_progress_bars = False  # there is one of ours
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it warns of what is set here


def _tables(spans: pa.Table, seen: _Seen, split: str, convert: Converter) -> Iterator[pa.Table]:
    """In a task: the rows of spans, converted, as tables."""
    try:
        for span in spans.to_pylist():
            for rows in _read(seen, split, span["start"], span["stop"]):
                yield _table(converted(rows, convert))
    except (Refusal, OSError, pa.ArrowException) as error:
        _opened.cache_clear()
        refusal = error if isinstance(error, Refusal) else f"{_node()} cannot read {seen.at.uri} ({error}). {_AGAIN}"
        yield pa.Table.from_pylist([{"refusal": str(refusal)}], _SCHEMA)


def _read(seen: _Seen, split: str, start: int, stop: int) -> Iterator[Rows]:
    """The rows of a span; none that stands behind one that is missing."""
    source, faults = _opened(seen)
    row = start
    for rows in source.samples(split, start):
        _check(seen, faults)
        yield Rows(rows.file, rows.first, rows.values[: stop - row])
        row += len(rows)
        if row >= stop:
            return
    _check(seen, faults)
    raise Refusal(f"{_node()} finds rows up to {row} of {split} in {seen.at.uri}, and not up to {stop}. {_AGAIN}")


def _check(seen: _Seen, faults: Faults) -> None:
    for fault in faults:
        if fault.row is None and fault not in seen.faults:
            raise Refusal(f"{_node()} reads what was read well here before, and finds: {fault}. {_AGAIN}")


def _node() -> str:
    return f"the node {ray.util.get_node_ip_address()}"


@lru_cache(maxsize=1)
def _opened(seen: _Seen) -> tuple[Source, Faults]:
    node, fix = _node(), "Give a URI of an object store, or the absolute path of a folder that all nodes share"
    try:
        files = seen.at.files()
    except Refusal as error:
        raise Refusal(f"every node of a cluster reads the source itself, and {node} cannot: {error}. {fix}") from error
    if _digest(files) != seen.digest:
        raise Refusal(
            f"every node of a cluster reads the same source, and {node} sees files of other names, sizes or times at "
            f"{seen.at.uri}. {fix}"
        )
    files.rows.update(seen.rows)
    faults = Faults()
    return seen.at.open(files, faults), faults


def _digest(files: Files) -> str:
    return hashlib.sha256(json.dumps(files.stamps()).encode()).hexdigest()


def _table(done: Converted) -> pa.Table:
    values, first = done.rows.values, done.rows.first
    columns: dict[str, Any] = {
        "file": [done.rows.file] * len(values),
        "row": range(first, first + len(values)),
        "sample": [None if isinstance(value, Bad) else content(value) for value in values],
        "hash": done.hashes,
        "bad": [vars(value) if isinstance(value, Bad) else None for value in values],
        "refusal": pa.nulls(len(values), pa.string()),
    }
    return pa.table(columns, _SCHEMA)


def _rows(table: pa.Table, convert: Converter) -> Iterator[Converted]:
    """What was put into a table, file by file."""
    columns = [table.column(name).to_pylist() for name in _ROWS]
    for file, rows in groupby(zip(*columns, strict=True), key=lambda row: row[0]):
        _, numbers, samples, hashes, bads = zip(*rows, strict=True)
        values = [Bad(**bad) if bad else _sample(each, convert) for each, bad in zip(samples, bads, strict=True)]
        yield Converted(Rows(str(file), numbers[0], values), list(hashes))


def _sample(stored: bytes, convert: Converter) -> Any:
    if convert.stored == "text":
        return stored.decode()
    if convert.stored == "encoded":
        return stored
    return np.frombuffer(stored, dtype=NUMBERS[convert.stored]).reshape(convert.shape)
