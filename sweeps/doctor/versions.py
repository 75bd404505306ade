"""Python and packages: new enough to be safe, and as they were tested together."""

import importlib.metadata
import platform
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from sweeps.doctor.finding import Finding
from sweeps.provenance import ROOT

PYTHON = Version("3.11")
FLOORS = Path(__file__).with_name("floors.toml")

Installed = Callable[[str], str]


def floors() -> dict[str, tuple[Version, str]]:
    """The oldest safe version of each package, and why."""
    rows = tomllib.loads(FLOORS.read_text())["floor"]
    return {row["package"]: (Version(row["version"]), row["why"]) for row in rows}


def python_version(version: str = platform.python_version()) -> Finding:
    """Python itself."""
    if Version(version) < PYTHON:
        return Finding("Python", "problem", version, f"use {PYTHON} or newer")
    return Finding("Python", "ok", version)


def safe_versions(installed: Installed = importlib.metadata.version) -> Iterator[Finding]:
    """Packages against the floors below which they have known holes."""
    old = [(name, installed(name), *floor) for name, floor in floors().items() if Version(installed(name)) < floor[0]]
    if not old:
        found = ", ".join(f"{name} {installed(name)}" for name in floors())
        yield Finding("known vulnerabilities", "ok", f"none in {found}")
    for name, version, floor, why in old:
        fix = f"pip install --constraint constraints.txt '{name}>={floor}'"
        yield Finding("known vulnerabilities", "problem", f"{name} {version}: {why}", fix, security=True)


def as_tested(
    constraints: Path = ROOT / "constraints.txt", installed: Installed = importlib.metadata.version
) -> Finding:
    """Our own requirements against the versions that were tested together, but for builds (``+cpu``)."""
    pins = dict(line.split("==") for line in constraints.read_text().splitlines() if "==" in line)
    ours = [
        Requirement(line).name for line in importlib.metadata.requires("contrastive-sweeps") or () if ";" not in line
    ]
    pinned = {name.lower(): pin for name, pin in pins.items()}
    others = [
        f"{name} {installed(name)} for {pinned[name.lower()]}"
        for name in ours
        if name.lower() in pinned and Version(installed(name)).public != Version(pinned[name.lower()]).public
    ]
    if others:
        fix = f"pip install --constraint {constraints.name} --editable ."
        return Finding("tested versions", "warning", ", ".join(others), fix)
    return Finding("tested versions", "ok", f"all {len(ours)} requirements are as in {constraints.name}")
