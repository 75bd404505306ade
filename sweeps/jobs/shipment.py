"""What a job brings along: this checkout, as git would keep it, in one archive that is named by its content."""

import hashlib
import importlib.util
import json
import subprocess
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sweeps.provenance import PACKAGES, ROOT, SHIPPED, SHIPPED_PATCH, checkout, patch
from sweeps.refusals import Refusal

#: What may travel, before it is compressed. Ray keeps the archive in the memory of the head node.
LIMIT_BYTES = 100 * 2**20

#: Where the sweep file lies in the archive, whether it is in the checkout or not.
FOLDER = "submitted"

#: Not part of what runs; a checkout without git leaves out what nobody would keep.
_LEFT_OUT = {"tests", "benchmarks", "docs", ".git", ".venv", "results", "build", "__pycache__"}

_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: an archive of the same files is the same archive


@dataclass(frozen=True)
class Shipment:
    """An archive: its files, their bytes before compression, and the SHA-256 of names and contents."""

    path: Path
    files: int
    size_bytes: int
    digest: str


def pack(destination: Path, sweep_file: Path | None = None, root: Path = ROOT) -> Shipment:
    """Write the archive of the checkout at `root`, and of a sweep file, into the folder `destination`.

    Raises `Refusal` where the code that runs here is not that of `root`, or where the files are too large to travel.
    """
    files = {str(path): root / path for path in _kept(root)}
    _check_whole(files, root)
    _check_size({name: path.stat().st_size for name, path in files.items()}, root)
    contents = {name: path.read_bytes() for name, path in files.items()}
    contents |= {SHIPPED: json.dumps(checkout()).encode(), SHIPPED_PATCH: patch()}
    if sweep_file is not None:
        contents[f"{FOLDER}/{sweep_file.name}"] = sweep_file.read_bytes()
    digest, archive = hashlib.sha256(), destination / "checkout.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in sorted(contents.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            writer.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return Shipment(archive, len(contents), sum(map(len, contents.values())), digest.hexdigest())


def _kept(root: Path) -> list[Path]:
    """Files of the checkout by their names in it: tracked ones, and those that git does not ignore."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        names = [Path(name) for name in listed.stdout.split("\0") if name]
    else:
        names = [path.relative_to(root) for path in root.rglob("*")]
    return [name for name in names if not _LEFT_OUT & set(name.parts) and (root / name).is_file()]


def _check_whole(files: dict[str, Path], root: Path) -> None:
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin != (root / package / "__init__.py").resolve() or f"{package}/__init__.py" not in files:
            raise Refusal(
                f"a job runs the code that was tried here, and `{package}` is imported from {origin}, not from the "
                f"checkout {root}. Submit from the checkout, with its own environment"
            )


def _check_size(sizes: dict[str, int], root: Path) -> None:
    total = sum(sizes.values())
    if total <= LIMIT_BYTES:
        return
    folders: Counter[str] = Counter()
    for name, size in sizes.items():
        folders[name.partition("/")[0]] += size
    largest = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in folders.most_common(3))
    raise Refusal(
        f"a checkout that is shipped has at most {LIMIT_BYTES / 2**20:.0f} MiB, and {root} has {total / 2**20:.0f} "
        f"MiB: {largest}. Move data to storage that every node reaches, or have git ignore it"
    )
