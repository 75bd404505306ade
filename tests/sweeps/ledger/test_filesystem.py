"""Where a ledger may lie, by tables of mounts."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from sweeps.ledger.errors import UnsafeFilesystem
from sweeps.ledger.filesystem import filesystem_of, is_network
from sweeps.ledger.store import Ledger

MOUNTS = {
    "/": "ext4",
    "/dev/shm": "tmpfs",
    "/home": "nfs4",
    "/home/scratch": "xfs",
    "/mnt/my share": "cifs",
    "/mnt/remote": "fuse.sshfs",
    "/mnt/layers": "fuse.fuse-overlayfs",
}


def mounted(monkeypatch: pytest.MonkeyPatch, *mounts: tuple[str, str]) -> None:
    found = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in (*MOUNTS.items(), *mounts)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: found)


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/results", "ext4", False),
        ("/dev/shm/results", "tmpfs", False),
        ("/home/me/results", "nfs4", True),
        ("/home/scratch/results", "xfs", False),
        ("/homework/results", "ext4", False),
        ("/mnt/my share/results", "cifs", True),
        ("/mnt/remote", "fuse.sshfs", True),
        ("/mnt/layers/results", "fuse.fuse-overlayfs", False),
        ("/mnt/twice/results", "nfs", True),
    ],
)
def test_the_innermost_mount_tells(path: str, kind: str, network: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(monkeypatch, ("/mnt/twice", "ext4"), ("/mnt/twice", "nfs"))
    assert filesystem_of(Path(path)) == kind
    assert is_network(kind) is network


def test_a_ledger_is_neither_made_nor_claimed_there_but_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger.create(tmp_path / "nfs" / "moved", "moved", {}).close()  # a mount that came later
    mounted(monkeypatch, (str(tmp_path / "nfs"), "nfs4"))
    with pytest.raises(UnsafeFilesystem, match=r"is on 'nfs4'. Give a --storage on a local disk.*PostgreSQL"):
        Ledger.create(tmp_path / "nfs" / "sweep", "sweep", {})
    assert not (tmp_path / "nfs" / "sweep").exists()
    with Ledger.open(tmp_path / "nfs" / "moved") as ledger:
        with pytest.raises(UnsafeFilesystem, match="nfs4"):
            ledger.claim()
        assert list(ledger.events()) == []


def test_the_system_is_asked() -> None:
    assert filesystem_of(Path("/proc/1")) == "proc"
