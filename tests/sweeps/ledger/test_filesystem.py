"""Where a ledger may lie, by tables of mounts."""

from pathlib import Path

import pytest

from sweeps.ledger import filesystem
from sweeps.ledger.errors import UnsafeFilesystem
from sweeps.ledger.filesystem import filesystem_of, is_network
from sweeps.ledger.store import Ledger

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
tmpfs /dev/shm tmpfs rw 0 0
filer:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/scratch xfs rw 0 0
//server/share /mnt/my\\040share cifs rw 0 0
me@host:/ /mnt/remote fuse.sshfs rw 0 0
overlay /mnt/layers fuse.fuse-overlayfs rw 0 0
/dev/sdc1 /mnt/twice ext4 rw 0 0
filer:/twice /mnt/twice nfs rw 0 0
"""


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
def test_the_innermost_mount_tells(path: str, kind: str, network: bool) -> None:
    assert filesystem_of(Path(path), MOUNTS) == kind
    assert is_network(kind) is network


def test_a_ledger_is_neither_made_nor_claimed_there_but_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"{MOUNTS}filer:/sweeps {tmp_path}/nfs nfs4 rw 0 0\n")
    Ledger.create(tmp_path / "nfs" / "moved", "moved", {}).close()  # a mount that came later
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    with pytest.raises(UnsafeFilesystem, match=r"is on 'nfs4'. Give a --storage on a local disk.*PostgreSQL"):
        Ledger.create(tmp_path / "nfs" / "sweep", "sweep", {})
    assert not (tmp_path / "nfs" / "sweep").exists()
    with Ledger.open(tmp_path / "nfs" / "moved") as ledger:
        with pytest.raises(UnsafeFilesystem, match="nfs4"):
            ledger.claim()
        assert list(ledger.events()) == []
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "not on Linux")
    Ledger.create(tmp_path / "nfs" / "sweep", "sweep", {}).close()
