"""`data ingest`, `data check` and `data describe`: bring your own data. Ray is loaded to join a cluster only."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sweeps.commands.options import JsonOption, OpenClusterOption, out, print_json
from sweeps.refusals import Refusal, Unsafe, refusals
from sweeps.slots.address import HERE, RayAt

if TYPE_CHECKING:
    from sweeps.data.content import Content
    from sweeps.data.conversion import Conversion
    from sweeps.data.faults import Faults
    from sweeps.data.files import Files
    from sweeps.data.ingest import Request
    from sweeps.data.sources import SourceAt
    from trainables.datasets.manifest import Manifest

app = typer.Typer(no_args_is_help=True, help="Datasets: check what you have, ingest it, see what was ingested.")

#: Faults that are shown, of each kind and in all; --json has every one.
_ALIKE, _SHOWN = 3, 200

SourceArgument = Annotated[str, typer.Argument(help="A folder or file, or a URI of an object store, such as s3://...")]
DatasetArgument = Annotated[str, typer.Argument(help="The folder, or URI, of the dataset.")]
LayoutOption = Annotated[
    str | None, typer.Option(help="parquet, webdataset, numpy, jsonl, folders, text or cifar; recognised if left out.")
]
UnpickleOption = Annotated[bool, typer.Option("--unpickle", help="Read the pickled CIFAR files, once, as arrays only.")]
SplitOption = Annotated[list[str], typer.Option("--split", help="Take this split of the source; all if left out.")]
ValidationOption = Annotated[float, typer.Option(help="Share of train that is validation, where there is none.")]
TestOption = Annotated[float, typer.Option(help="Share of train that is test, where there is none.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the splits that are made.")]
StoreOption = Annotated[
    Literal["pixels", "encoded"] | None, typer.Option(help="Left out, small images of one size are stored as pixels.")
]
SizeOption = Annotated[int | None, typer.Option(min=4, help="Bring images to this size: shorter side, then middle.")]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Read and check on the Ray cluster at host:port, or `auto` in a job of it. Every node must reach SOURCE: "
        "an object store, or a shared folder.",
    ),
]
LicenceOption = Annotated[str | None, typer.Option(help="Under which terms, such as CC-BY-4.0.")]


@app.command()
def ingest(
    source: SourceArgument,
    dataset: DatasetArgument,
    layout: LayoutOption = None,
    unpickle: UnpickleOption = False,
    split: SplitOption = [],  # noqa: B006
    validation: ValidationOption = 0.1,
    test: TestOption = 0.1,
    seed: SeedOption = 0,
    store: StoreOption = None,
    size: SizeOption = None,
    licence: LicenceOption = None,
    address: AddressOption = None,
    open_cluster: OpenClusterOption = False,
) -> None:
    """Make a dataset of images, text or embeddings. One that was killed goes on with the same command.

    Example: python -m sweeps data ingest ~/cifar100 data/cifar100 --licence unknown
    """
    with refusals():
        from sweeps.data.faults import Faults
        from sweeps.data.ingest import Request
        from sweeps.data.ingest import ingest as write
        from sweeps.data.sources import SourceAt
        from trainables.storage import Storage

        if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
            raise Refusal(f"--validation {validation} and --test {test} must leave something to train on; lower them")
        request = Request(validation=validation, test=test, seed=seed, store=store, size=size, licence=licence)
        ray_at = RayAt.of(address, open_cluster)
        found = Faults()
        at = SourceAt(source, tuple(split), layout, unpickle)
        files = at.files()
        opened = at.open(files, found)
        with _conversion(ray_at, at, files, found) as conversion, _progress("ingest") as progress:
            manifest = write(opened, files, request, Storage(dataset), found, progress, conversion)
        _show(found)
        _refuse(found, source, "nothing was ingested")
    if manifest:
        _print(_described(dataset, manifest))


@app.command()
def check(
    source: SourceArgument,
    layout: LayoutOption = None,
    unpickle: UnpickleOption = False,
    split: SplitOption = [],  # noqa: B006
    store: StoreOption = None,
    size: SizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every fault of a dataset, or of what is to become one, at once; exit 2, or 6 where it is damaged.

    Where there is none, say what it holds.

    Example: python -m sweeps data check data/cifar100
    """
    with refusals():
        from sweeps.data.faults import Faults
        from sweeps.data.sources import SourceAt

        found = Faults()
        at = SourceAt(source, tuple(split), layout, unpickle)
        files = at.files()
        if "manifest.json" in files.names:
            held, lines = _check_ingested(source, found)
        else:
            from sweeps.data.ingest import Request

            held, lines = _check_source(at, files, Request(store=store, size=size), found)
        if as_json:
            faults = [vars(fault) for fault in found]
            print_json({"source": source, "holds": held and asdict(held), "faults": faults})
        else:
            _show(found)
        _refuse(found, source, "it cannot be used as it is")
    if not as_json:
        _print([*lines, f"{source}: no faults"])


@app.command()
def describe(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Show what a dataset holds: kind, splits, classes, bytes, licence, digest.

    Example: python -m sweeps data describe data/cifar100
    """
    with refusals():
        manifest = _manifest(dataset)
    if as_json:
        print_json({**manifest.model_dump(mode="json"), "digest": manifest.digest})
    else:
        _print(_described(dataset, manifest))


@contextmanager
def _conversion(ray_at: RayAt, at: "SourceAt", files: "Files", found: "Faults") -> "Iterator[Conversion]":
    """Where samples are read and checked."""
    if ray_at == HERE:
        from sweeps.data.conversion import converted_here

        yield converted_here
        return
    from sweeps.data.cluster import conversion_on

    with conversion_on(ray_at, replace(at, uri=files.uri), files, found) as conversion:
        yield conversion


def _check_source(
    at: "SourceAt", files: "Files", request: "Request", found: "Faults"
) -> "tuple[Content | None, list[str]]":
    """What is there to be ingested, also in lines; nothing where there are faults."""
    from sweeps.data.ingest import Examination
    from sweeps.data.sources import recognised

    opened = at.open(files, found)
    with _progress("check") as progress:
        examination = Examination(opened, request, found, progress)
        examination.run(files.uri)
    held = examination.held
    if held is None:
        return None, []
    carved = [name for name in ("validation", "test") if name not in held.splits]
    return held, [
        f"{at.uri}: {held.kind} in the layout {at.layout or recognised(files)}, to be stored as {held.form}",
        *held.counts(),
        *(f"  {name}: none; ingest takes a share of train (--{name})" for name in carved),
    ]


def _check_ingested(dataset: str, found: "Faults") -> "tuple[Content | None, list[str]]":
    """What was ingested, also in lines; nothing where there are faults."""
    from sweeps.data.check import check_dataset
    from sweeps.data.content import Content
    from trainables.storage import Storage

    manifest = _manifest(dataset)
    with _progress("check") as progress:
        check_dataset(Storage(dataset), manifest, found, progress)
    return (None, []) if found.refuse else (Content.of(manifest), _described(dataset, manifest))


def _manifest(dataset: str) -> "Manifest":
    from trainables.datasets.manifest import read_manifest
    from trainables.storage import Storage

    try:
        return read_manifest(Storage(dataset))
    except FileNotFoundError:
        raise Refusal(f"{dataset} holds no dataset; make one with `python -m sweeps data ingest`") from None


def _show(found: "Faults") -> None:
    """Some faults of each kind: one that every row has does not hide the others."""
    lines: list[str] = []
    for alike in found.by_kind():
        lines += [str(fault) if fault.refuses else f"caution: {fault}" for fault in alike[:_ALIKE]]
        if len(alike) > _ALIKE:
            lines.append(f"and {len(alike) - _ALIKE:,} more like it (all: check --json)")
    _print(lines[:_SHOWN] + (["and more (all: check --json)"] if len(lines) > _SHOWN else []))


def _refuse(found: "Faults", source: str, consequence: str) -> None:
    count = sum(fault.refuses for fault in found)
    if count:
        refusal = Unsafe if found.security else Refusal
        raise refusal(f"{source}: {count:,} {'fault' if count == 1 else 'faults'}, {consequence}")


@contextmanager
def _progress(task: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, with the samples done; nothing where that is no terminal."""
    columns = (TextColumn(task), BarColumn(), MofNCompleteColumn(), TextColumn("samples"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(task, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _described(dataset: str, manifest: "Manifest") -> list[str]:
    """What was ingested, in lines."""
    from sweeps.data.content import Content

    held, size = Content.of(manifest), sum(block.bytes for split in manifest.splits.values() for block in split.blocks)
    return [
        f"{dataset}: {held.kind}, stored as {held.form}, {size / 1e6:,.1f} MB",
        *held.counts(),
        f"  licence: {manifest.licence}" + ("; say which with --licence" if manifest.licence == "unknown" else ""),
        f"  source: {manifest.source}",
        f"  digest: {manifest.digest}",
    ]


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
